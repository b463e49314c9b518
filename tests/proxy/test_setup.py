"""schoolgate.internal/setup: each system has its page, each file is what its name says."""

import json
import plistlib
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.block_page import Pages
from proxy.ca import ensure_ca
from proxy.setup import SYSTEMS, Setup, profile


@pytest.fixture(scope="module")
def pem(tmp_path_factory) -> bytes:
    return ensure_ca(tmp_path_factory.mktemp("ca"), "box").read_bytes()


@pytest.fixture(scope="module")
def setup(pem):
    return Setup(Pages(b"k" * 32, "https://desk.test"), pem)


def test_every_link_of_every_page_leads_somewhere(setup):
    """But those outside, and /ca.pem, which is internal.py's."""
    seen, todo = set(), ["/setup"]
    while todo:
        path = todo.pop()
        seen.add(path)
        answer = setup.answer(path)
        assert answer is not None, path
        assert answer.status == 200
        if dict(answer.headers)["Content-Type"].startswith("text/html"):
            links = re.findall(r'href="(/[^"]*)"', answer.body.decode())
            todo += [each for each in links if each not in seen and each != "/ca.pem"]
    assert {f"/setup/{each.path}" for each in SYSTEMS} < seen
    assert {"/ca.crt", "/schoolgate.mobileconfig", "/firefox/policies.json"} < seen
    assert setup.answer("/setup/beos") is None


def test_the_certificate_in_each_form(setup, pem):
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    assert setup.answer("/ca.crt").body == der
    made = plistlib.loads(setup.answer("/schoolgate.mobileconfig").body)
    (payload,) = made["PayloadContent"]
    assert (payload["PayloadType"], payload["PayloadContent"]) == ("com.apple.security.root", der)
    assert made["PayloadUUID"] != payload["PayloadUUID"]
    assert profile(der) == profile(der), "the same profile replaces itself"
    policies = json.loads(setup.answer("/firefox/policies.json").body)["policies"]
    assert policies["DNSOverHTTPS"] == {"Enabled": False, "Locked": True}


def test_the_pages_say_how(setup):
    assert b"Certificate Trust Settings" in setup.answer("/setup/ios").body
    assert b"trusts the certificate" in setup.answer("/setup/trusted").body
    assert b"<script" not in setup.answer("/setup").body
