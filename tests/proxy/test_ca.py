import multiprocessing
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from mitmproxy.certs import CertStore

from proxy.ca import ensure_ca, trust_bundle


def test_the_ca_is_made_once_and_mitmproxy_can_use_it(tmp_path):
    path = ensure_ca(tmp_path / "conf", "Birchwood")
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=Schoolgate filter (Birchwood)"
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 3652
    assert stat.S_IMODE((tmp_path / "conf/mitmproxy-ca.pem").stat().st_mode) == 0o600
    assert b"PRIVATE" not in path.read_bytes()
    before = path.read_bytes()
    assert ensure_ca(tmp_path / "conf", "Other").read_bytes() == before
    store = CertStore.from_store(tmp_path / "conf", "mitmproxy", 2048)
    made = store.get_cert("a.test", [x509.DNSName("a.test")])
    made.cert.to_cryptography().verify_directly_issued_by(certificate)


def test_a_lost_certificate_is_written_again(tmp_path):
    path = ensure_ca(tmp_path, "x")
    before = path.read_bytes()
    path.unlink()
    assert ensure_ca(tmp_path, "x").read_bytes() == before


def test_processes_that_start_together_make_one(tmp_path):
    context = multiprocessing.get_context("spawn")
    makers = [context.Process(target=ensure_ca, args=(tmp_path, f"maker {n}")) for n in range(2)]
    for each in makers:
        each.start()
    for each in makers:
        each.join()
    assert [each.exitcode for each in makers] == [0, 0]
    key_file = (tmp_path / "mitmproxy-ca.pem").read_bytes()
    assert (tmp_path / "schoolgate-ca.pem").read_bytes() in key_file


def test_sites_are_trusted_by_the_system_and_the_extra_bundle(tmp_path):
    extra = ensure_ca(tmp_path / "other", "extra")
    bundle = trust_bundle(tmp_path, str(extra)).read_bytes()
    assert extra.read_bytes() in bundle
    assert bundle.count(b"BEGIN CERTIFICATE") > 50
    (tmp_path / "bad.pem").write_text("nothing")
    with pytest.raises(ValueError, match="holds no certificate"):
        trust_bundle(tmp_path, str(tmp_path / "bad.pem"))
    with pytest.raises(OSError, match="No such file"):
        trust_bundle(tmp_path, str(tmp_path / "missing.pem"))
