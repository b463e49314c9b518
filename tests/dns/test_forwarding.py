"""Resolvers that forward to us, as routers and Linux machines do; and signed answers, validated by others through us."""

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest

KS3 = "127.20.3.5"
ZONE = "signed.example"
RECORDS = f"""$TTL 300
@ IN SOA ns.{ZONE}. admin.{ZONE}. 1 3600 600 86400 120
@ IN NS ns.{ZONE}.
@ IN MX 10 mail.{ZONE}.
ns IN A 203.0.113.1
www IN A 203.0.113.7
www IN AAAA 2001:db8::7
WWW2 IN CNAME www.{ZONE}.
mail IN A 203.0.113.25
*.any IN A 203.0.113.8
service IN HTTPS 1 . alpn=h2
big IN TXT {" ".join(f'"{"x" * 200}"' for _ in range(12))}
"""


def tool(name):
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert found, f"{name} is missing; .ci/run installs it"
    return found


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def dig(address, name, *more, source=None):
    bound = ["-b", source] if source else []
    command = [tool("dig"), f"@{address[0]}", "-p", str(address[1]), *bound, name, "+tries=1", "+time=5", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout


@contextmanager
def daemon(command, port, log):
    """A name server as a process, once it answers something."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        end = time.monotonic() + 30
        while "status:" not in dig(("127.0.0.1", port), "localhost", "+time=1"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A name server of a signed zone: its address, and its key as a trust anchor."""
    folder = tmp_path_factory.mktemp("signed")
    (folder / "zone").write_text(RECORDS)
    quiet = {"cwd": folder, "capture_output": True, "text": True, "timeout": 30}
    key = subprocess.run(
        [tool("dnssec-keygen"), "-f", "KSK", "-a", "ECDSAP256SHA256", ZONE], check=True, **quiet
    ).stdout.strip()
    with (folder / "zone").open("a") as file:
        file.write((folder / f"{key}.key").read_text())
    subprocess.run([tool("dnssec-signzone"), "-z", "-o", ZONE, "zone", key], check=True, **quiet)
    anchor = next(line for line in (folder / f"{key}.key").read_text().splitlines() if " DNSKEY " in line)
    port = free_port()
    (folder / "named.conf").write_text(f"""
        controls {{ }};
        options {{ directory "{folder}"; pid-file none; session-keyfile none; managed-keys-directory "{folder}";
            listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; }};
        zone "{ZONE}" {{ type primary; file "zone.signed"; }};
    """)
    with daemon([tool("named"), "-g", "-c", str(folder / "named.conf")], port, folder / "log"):
        yield ("127.0.0.1", port), anchor


SIGNED = [  # name, type, what a validating client reads
    (f"www.{ZONE}", "A", "203.0.113.7"),
    (f"www.{ZONE}", "AAAA", "2001:db8::7"),
    (f"www2.{ZONE}", "A", "203.0.113.7"),
    (f"x.any.{ZONE}", "A", "203.0.113.8"),
    (f"service.{ZONE}", "HTTPS", "alpn="),
    (f"big.{ZONE}", "TXT", "x" * 200),
    (ZONE, "DNSKEY", "257 3 13"),
    (f"www.{ZONE}", "MX", "ncache nxrrset"),
    (f"none.{ZONE}", "A", "ncache nxdomain"),
]


@pytest.mark.parametrize(("name", "kind", "says"), SIGNED, ids=lambda each: each[:30])
def test_a_signed_answer_comes_through_unbroken(running, make_live, signed, tmp_path, name, kind, says):
    address, anchor = signed
    owner, _, key = anchor.partition(" IN DNSKEY ")
    flags, protocol, algorithm, *text = key.split()
    keyed = f'{owner} static-key {flags} {protocol} {algorithm} "{"".join(text)}";'
    (tmp_path / "anchors").write_text(f"trust-anchors {{ {keyed} }};\n")
    with running(make_live(), address) as server:
        for _ in range(2):  # from upstream, and from the cache
            command = [
                tool("delv"), "@127.0.0.1", "-p", str(server.address[1]), "-b", KS3, "-a", str(tmp_path / "anchors"),
                f"+root={ZONE}", name, kind,
            ]  # fmt: skip
            said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            assert "fully validated" in said.stdout, said.stdout + said.stderr
            assert says in said.stdout + said.stderr


UNBOUND = """server:
  interface: 127.0.0.1@{port}
  outgoing-interface: {source}
  do-not-query-localhost: no
  use-caps-for-id: yes
  ede: yes
  module-config: "validator iterator"
  trust-anchor: "{anchor}"
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream}
remote-control:
  control-enable: no
"""


def test_unbound_forwards_to_us_and_validates(running, make_live, signed, upstream, tmp_path):
    (address, anchor), port = signed, free_port()
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.9"
    forward = ((ZONE, (address,)),)
    with running(make_live(), upstream.address, forward=forward) as server:
        conf = tmp_path / "unbound.conf"
        conf.write_text(UNBOUND.format(port=port, source=KS3, anchor=anchor, folder=tmp_path, upstream=server.address[1]))
        with daemon([tool("unbound"), "-d", "-c", str(conf)], port, tmp_path / "log"):
            there = ("127.0.0.1", port)
            for name, kind, flag in ((f"www.{ZONE}", "A", "ad;"), (f"none.{ZONE}", "A", "ad;"), ("news.example", "A", "ra;")):
                said = dig(there, name, kind, "+dnssec")
                assert flag in said, said
                assert "SERVFAIL" not in said
            assert dig(there, "bet.example", "+short").split() == ["127.0.0.1"]
            assert dig(there, "bet.example", "HTTPS", "+short") == ""
            assert "status: NXDOMAIN" in dig(there, "use-application-dns.net")
        assert {event.address for event in server.events} == {KS3}


def test_dnsmasq_forwards_to_us(running, make_live, upstream, tmp_path):
    port = free_port()
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.9"
    with running(make_live(), upstream.address) as server:
        command = [
            tool("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--pid-file=",
            "--listen-address=127.0.0.1", f"--port={port}", f"--server=127.0.0.1#{server.address[1]}@{KS3}", "--proxy-dnssec",
            "--user=", "--conf-file=/dev/null",
        ]  # fmt: skip
        with daemon(command, port, tmp_path / "log"):
            there = ("127.0.0.1", port)
            assert dig(there, "news.example", "+short").split() == ["203.0.113.9"]
            said = dig(there, "bet.example")
            assert "127.0.0.1" in said
            assert "status: NXDOMAIN" in dig(there, "gone.example")
            assert "status: NOERROR" in dig(there, "bet.example", "+tcp")
