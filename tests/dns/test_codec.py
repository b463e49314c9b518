"""Messages read and written, with dnslib as the second opinion."""

import struct
from contextlib import suppress

import dnslib
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dns import codec
from dns.codec import Ede, Edns, Malformed, Query
from dns.reading import read_answer

A_QUERY = bytes.fromhex("12340100000100000000000007626c6f636b6564076578616d706c650000010001")


def query(name="www.bet.example", qtype=codec.A, **more):
    return Query(0x1234, name, codec.wire_name(name), qtype, **more)


def question(name, kind="A", **edns):
    made = dnslib.DNSRecord.question(name, kind)
    if edns:
        made.add_ar(dnslib.EDNS0(**edns))
    return made


def options(wire):
    """The extended errors of a message."""
    opts = [option for rr in dnslib.DNSRecord.parse(wire).ar if rr.rtype == codec.OPT for option in rr.rdata]
    return [(int.from_bytes(each.data[:2]), each.data[2:].decode()) for each in opts if each.code == codec.EDE]


def test_a_query_is_read_as_dnslib_wrote_it():
    made = question("WwW.Bet.Example", "AAAA", udp_len=4096, flags="do")
    read = codec.parse(bytes(made.pack()))
    assert (read.id, read.name, read.qtype, read.qclass, read.rd) == (made.header.id, "www.bet.example", codec.AAAA, 1, True)
    assert read.qname == b"\x03WwW\x03Bet\x07Example\x00"
    assert read.edns == Edns(4096, do=True)
    assert read.size == 1232


@pytest.mark.parametrize(("labels", "name"), [
    ([], ""),
    ([b"_dns", b"resolver", b"arpa"], "_dns.resolver.arpa"),
    ([b"a b", b"x"], "a\\032b.x"),
    ([b"a.b", b"x"], "a\\046b.x"),
    ([b"\x00\xff", b"X"], "\\000\\255.x"),
    ([b"a\r\n\x1b[2J", b"x"], "a\\013\\010\\027\\0912j.x"),
])  # fmt: skip
def test_names_with_odd_bytes_are_shown_safely(labels, name):
    wire = b"".join(bytes((len(each),)) + each for each in labels) + b"\0"
    assert codec.parse(A_QUERY[:12] + wire + b"\0\1\0\1").name == name


HEAD = "12340100000100000000"
NAME = "07626c6f636b6564076578616d706c6500"


@pytest.mark.parametrize(("packet", "outcome"), [
    ("", "dropped"),
    ("1234010000", "dropped"),
    ("123481800001000000000000" + NAME + "00010001", "dropped"),  # an answer: RFC 1035 4.1.1, QR
    ("123429000001000000000000" + NAME + "00060001", "NOTIMP"),  # opcode 5
    ("123401000002000000000000" + NAME + "00010001" + NAME + "00010001", "FORMERR"),  # RFC 9619: one question
    ("123401000000000000000000", "FORMERR"),
    (HEAD + "0000" + "c00c00010001", "FORMERR"),  # a pointer to itself
    (HEAD + "0000" + "4161" + NAME + "00010001", "FORMERR"),  # a label of an unknown kind
    (HEAD + "0000" + NAME + "0001", "FORMERR"),  # cut off
    (HEAD + "0000" + NAME + "0001000100", "FORMERR"),  # a byte too many
    (HEAD + "0000" + ("3f" + "61" * 63) * 4 + "0000010001", "FORMERR"),  # 257 bytes of name
    (HEAD + "0002" + NAME + "00010001" + "00002904d0000000000000" * 2, "FORMERR"),  # RFC 6891 6.1.1: one OPT
    (HEAD + "0001" + NAME + "00010001" + "00002904d0000000000003000800", "FORMERR"),  # half an option
    (HEAD + "0001" + NAME + "00010001" + "00002904d0000100000000", "BADVERS"),  # RFC 6891 6.1.3: version 1
])  # fmt: skip
def test_what_is_no_query_gets_an_error_or_silence(packet, outcome):
    with pytest.raises(Malformed) as raised:
        codec.parse(bytes.fromhex(packet))
    assert raised.value.outcome == outcome
    if outcome == "dropped":
        assert raised.value.reply is None
    else:
        said = dnslib.DNSRecord.parse(raised.value.reply)
        assert (said.header.id, said.header.qr) == (0x1234, 1)
        if outcome == "BADVERS":
            assert said.ar[0].edns_rcode == 1
        else:
            assert dnslib.RCODE.get(said.header.rcode) == outcome


def test_a_name_of_the_greatest_length_is_read():
    wire = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\0"
    assert len(wire) == 255
    assert codec.parse(A_QUERY[:12] + wire + b"\0\1\0\1").qname == wire


@given(st.binary(max_size=600))
@example(b"")
def test_any_bytes_are_a_query_or_malformed(data):
    with suppress(Malformed):
        assert len(codec.parse(data).qname) <= 255


MUTATIONS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6)


def mutated(data, changes, cut):
    data = bytearray(data)
    for at, byte in changes:
        data[at % len(data)] = byte
    return bytes(data[: len(data) - cut % len(data)] if cut else data)


@given(MUTATIONS, st.integers(0, 60))
def test_a_query_spoilt_anywhere_is_a_query_or_malformed(changes, cut):
    packet = mutated(question("www.bet.example", "A", udp_len=1232).pack(), changes, cut)
    with suppress(Malformed):
        codec.parse(packet)


def upstream_says(zone, asked=None, rcode=0, authority=""):
    asked = asked or query()
    made = dnslib.DNSRecord.parse(codec.ask(asked, 77)).reply(ra=1, aa=0)
    made.header.rcode = rcode
    if zone:
        made.add_answer(*dnslib.RR.fromZone(zone))
    if authority:
        made.add_auth(*dnslib.RR.fromZone(authority))
    made.add_ar(dnslib.EDNS0(udp_len=4096))
    return asked, bytes(made.pack())


RICH = """www.bet.example. 300 IN CNAME other.example.
other.example. 120 IN A 203.0.113.7
other.example. 200 IN HTTPS 1 svc.example. ipv4hint=203.0.113.8 ipv6hint=2001:db8::1
other.example. 90 IN TXT "anything"
"""


def test_the_upstream_is_asked_without_what_tells_of_a_child():
    packet = bytes.fromhex(HEAD + "0001" + "07626C6f636b6564076578616d706c6500" + "00010001") + bytes.fromhex(
        "00002904d000008000000b0008000700011800cb0071"  # DO, and a client subnet
    )
    asked = codec.ask(codec.parse(packet), 77)
    made = dnslib.DNSRecord.parse(asked)
    assert made.header.id == 77
    assert b"\x07blocked" in asked
    assert made.ar[0].rdata == []
    assert made.ar[0].edns_do == 1


def test_an_answer_goes_out_as_the_client_asked():
    asked, packet = upstream_says(RICH)
    read = read_answer(packet, asked, 77)
    spelling = codec.wire_name("www.bet.example").replace(b"www", b"wWw")
    client = Query(9, "www.bet.example", spelling, codec.A, edns=Edns(1232, do=False))
    wire = codec.relay(client, read, age=50, ttl_max=60, limit=1232)
    said = dnslib.DNSRecord.parse(wire)
    assert wire[12 : 12 + len(spelling)] == spelling
    assert [rr.ttl for rr in said.rr] == [60, 60, 60, 40]
    assert str(said.rr[0].rdata) == "other.example."
    assert [rr.rtype for rr in said.ar] == [codec.OPT]
    bare = dnslib.DNSRecord.parse(codec.relay(query(), read, age=0, ttl_max=60, limit=512))
    assert bare.ar == []


def test_what_does_not_fit_is_truncated():
    asked, packet = upstream_says("\n".join(f"www.bet.example. 300 IN A 203.0.113.{each}" for each in range(200)))
    read = read_answer(packet, asked, 77)
    wire = codec.relay(asked, read, age=0, ttl_max=60, limit=asked.size)
    said = dnslib.DNSRecord.parse(wire)
    assert len(wire) <= 512
    assert (said.header.tc, said.rr) == (1, [])


def test_the_ad_bit_is_only_for_those_who_understand_it():
    asked, packet = upstream_says(RICH)
    read = read_answer(packet[:3] + bytes((packet[3] | 0x20,)) + packet[4:], asked, 77)
    for client, ad in ((query(), 0), (query(ad=True), 1), (query(edns=Edns(1232, do=True)), 1)):
        assert dnslib.DNSRecord.parse(codec.relay(client, read, age=0, ttl_max=60, limit=1232)).header.ad == ad


@pytest.mark.parametrize(("kind", "addresses", "records"), [
    (codec.A, ("192.0.2.1", "2001:db8::1"), ["192.0.2.1"]),
    (codec.AAAA, ("192.0.2.1", "2001:db8::1"), ["2001:db8::1"]),
    (codec.AAAA, ("192.0.2.1",), []),
    (codec.HTTPS, ("192.0.2.1", "2001:db8::1"), []),
])  # fmt: skip
def test_pointing_to_the_page(kind, addresses, records):
    said = dnslib.DNSRecord.parse(codec.pointing(query(qtype=kind), addresses, 5))
    assert [str(rr.rdata) for rr in said.rr] == records
    assert {rr.ttl for rr in (*said.rr, *said.auth)} == {5}
    assert bool(said.auth) is not bool(records)
    assert said.header.rcode == 0


def test_absence_says_for_how_long():
    said = dnslib.DNSRecord.parse(codec.absent(query(), codec.NXDOMAIN, 5))
    assert said.header.rcode == 3
    assert said.auth[0].rdata.times[-1] == said.auth[0].ttl == 5


def test_an_extended_error_is_for_clients_with_edns_and_fits():
    long = Ede(codec.FILTERED, "é" * 500)
    name = ".".join(["a" * 63] * 3 + ["b" * 61])
    made = Query(1, name, codec.wire_name(name), codec.A, edns=Edns(512, do=False))
    wire = codec.absent(made, codec.NXDOMAIN, 5, long)
    assert len(wire) <= 512
    assert options(wire) == [(17, "é" * 60)]
    assert options(codec.absent(query(), codec.NXDOMAIN, 5, long)) == []


def test_a_question_for_everything_gets_little():
    said = dnslib.DNSRecord.parse(codec.minimal_any(query(qtype=codec.ANY), 60))  # RFC 8482 4.2
    assert [rr.rtype for rr in said.rr] == [codec.HINFO]


@pytest.mark.parametrize(("number", "text"), [(1, "A"), (65, "HTTPS"), (64999, "TYPE64999")])
def test_types_have_names(number, text):
    assert codec.type_text(number) == text


def test_odd_packets(odd_packets):
    expected = {"FORMERR or drop": {"FORMERR", "dropped"}, "drop": {"dropped"}, "NOTIMP or REFUSED": {"NOTIMP", "REFUSED"}}
    for name, packet, what in odd_packets:
        try:
            codec.parse(packet)
            outcome = "read"
        except Malformed as error:
            outcome = error.outcome
        assert outcome in expected.get(what, {"FORMERR"} if what.startswith("FORMERR") else {"read"}), name


def test_records_that_cannot_be_shown_are_said_to_be_so():
    asked = query()
    wire = codec.error(asked, codec.NOERROR)
    wire = wire[:6] + b"\0\1" + wire[8:] + b"\xc0\x0c" + struct.pack("!HHIH", 84, 1, 300, 2) + b"\xff"
    assert codec.text_lines(wire) == ["(records that cannot be shown)"]
    assert codec.reason_text(wire) == ""
