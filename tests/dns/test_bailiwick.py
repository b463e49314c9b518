"""An answer speaks of what was asked, or is not believed."""

import dnslib
import pytest

from dns import codec
from dns.bailiwick import confined
from dns.codec import Malformed, Query
from dns.reading import read_answer

ASKED = Query(7, "shop.example", codec.wire_name("shop.example"), codec.A)


def answer(*zone):
    reply = dnslib.DNSRecord(dnslib.DNSHeader(id=9, qr=1), q=dnslib.DNSQuestion("sHop.example", codec.A))
    for line in zone:
        owner, kind, target = line.split()
        if kind == "DNAME":  # dnslib has no words for it
            reply.add_answer(dnslib.RR(owner, codec.DNAME, rdata=dnslib.RD(codec.wire_name(target.rstrip(".")))))
        else:
            reply.add_answer(*dnslib.RR.fromZone(line))
    return read_answer(bytes(reply.pack()), ASKED, 9)


@pytest.mark.parametrize(("zone", "believed"), [
    ([], True),
    (["shop.example. A 203.0.113.7"], True),
    (["SHOP.example. A 203.0.113.7"], True),
    (["shop.example. CNAME a.cdn.example.", "a.cdn.example. CNAME b.cdn.example.", "b.cdn.example. A 203.0.113.7"], True),
    (["b.cdn.example. A 203.0.113.7", "a.cdn.example. CNAME b.cdn.example.", "shop.example. CNAME a.cdn.example."], True),
    (["example. DNAME other.example.", "shop.example. CNAME shop.other.example.", "shop.other.example. A 203.0.113.7"], True),
    (["shop.example. A 203.0.113.7", "bank.example. A 203.0.113.66"], False),
    (["bank.example. A 203.0.113.66"], False),
    (["bank.example. CNAME bank.example.", "bank.example. A 203.0.113.66"], False),
    (["shop.example. CNAME a.example.", "other.example. CNAME bank.example.", "bank.example. A 203.0.113.66"], False),
    (["bank.example. DNAME other.example.", "shop.example. A 203.0.113.7"], False),
    (["shop.example. CNAME shop.example."], True),  # a loop leads nowhere, and does no harm
])  # fmt: skip
def test_what_is_believed(zone, believed):
    if believed:
        got = answer(*zone)
        assert confined(ASKED, got) is got
    else:
        with pytest.raises(Malformed):
            confined(ASKED, answer(*zone))
