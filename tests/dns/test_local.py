"""Names that are answered here, and never asked of strangers."""

import dnslib
import pytest

from dns import codec
from dns.codec import Query
from dns.local import Local, under

OURS = Local.of((("printer.school.local", ("10.1.0.9", "fd00::9")),), ("school.local", "1.10.in-addr.arpa"))


def ask(name, kind="A", local=OURS):
    found = local.answer(Query(7, name, codec.wire_name(name), getattr(dnslib.QTYPE, kind)))
    if found is None:
        return None
    record = dnslib.DNSRecord.parse(found[0])
    return dnslib.RCODE.get(record.header.rcode), [str(rr.rdata) for rr in record.rr]


@pytest.mark.parametrize(("name", "kind", "expected"), [
    ("printer.school.local", "A", ("NOERROR", ["10.1.0.9"])),
    ("printer.school.local", "AAAA", ("NOERROR", ["fd00::9"])),
    ("printer.school.local", "TXT", ("NOERROR", [])),
    ("9.0.1.10.in-addr.arpa", "PTR", ("NOERROR", ["printer.school.local."])),
    ("dc1.school.local", "A", None),  # forwarded
    ("7.0.1.10.in-addr.arpa", "PTR", None),
    ("7.0.2.10.in-addr.arpa", "PTR", ("NXDOMAIN", [])),
    ("1.1.168.192.in-addr.arpa", "PTR", ("NXDOMAIN", [])),
    ("1.1.31.172.in-addr.arpa", "PTR", ("NXDOMAIN", [])),
    ("1.1.32.172.in-addr.arpa", "PTR", None),
    ("1.0.64.100.in-addr.arpa", "PTR", ("NXDOMAIN", [])),
    ("8.8.8.8.in-addr.arpa", "PTR", None),
    ("1.0.0.0.0.0.0.0.d.f.ip6.arpa", "PTR", ("NXDOMAIN", [])),
    ("localhost", "A", ("NOERROR", ["127.0.0.1"])),
    ("x.localhost", "AAAA", ("NOERROR", ["::1"])),
    ("nas.local", "A", ("NXDOMAIN", [])),
    ("router.home.arpa", "A", ("NXDOMAIN", [])),
    ("wpad.lan", "A", ("NXDOMAIN", [])),
    ("news.example", "A", None),
])  # fmt: skip
def test_what_is_answered_here(name, kind, expected):
    assert ask(name, kind) == expected


def test_under():
    assert under("a.b.c", {"b.c"}) == "b.c"
    assert under("b.c", {"b.c"}) == "b.c"
    assert under("ab.c", {"b.c"}) is None
    assert under("", {"b.c"}) is None
