"""Whose accounts sign in: the headers, and who gets them."""

from types import SimpleNamespace

import pytest

from policy.tenants import directory, domains, headers

NUMBER = "8f4e2c1a-35b2-4c23-b3b3-32360826f3d1"
SCHOOL = SimpleNamespace(google_domains="a.sch.uk,b.sch.uk", microsoft_tenants="a.sch.uk", microsoft_directory=NUMBER)
NOBODY = SimpleNamespace(google_domains="", microsoft_tenants="", microsoft_directory="")


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("accounts.google.com", {"X-GoogApps-Allowed-Domains": "a.sch.uk,b.sch.uk"}),
        ("google.com.evil.test", {}),
        ("notgoogle.com", {}),
        ("login.microsoftonline.com", {"Restrict-Access-To-Tenants": "a.sch.uk", "Restrict-Access-Context": NUMBER}),
        ("login.live.com", {"sec-Restrict-Tenant-Access-Policy": "restrict-msa"}),
        ("www.microsoft.com", {}),
    ],
)
def test_headers(host, found):
    assert headers(host, SCHOOL) == found
    assert headers(host, NOBODY) == {}


def test_what_is_typed():
    assert domains(" A.sch.uk, b.sch.uk;a.sch.uk ") == "a.sch.uk,b.sch.uk"
    assert (domains(""), directory("")) == ("", "")
    assert directory(f" {NUMBER.upper()} ") == NUMBER
    for wrong in ("oakfield", "a b\r\nX: y", "a.sch.uk/x"):
        with pytest.raises(ValueError):
            domains(wrong)
