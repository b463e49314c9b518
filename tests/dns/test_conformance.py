"""What the standards ask of a server, one row a behaviour, each named by its section. Asked over real sockets.

A row is the bytes of a query, how it is sent, and what must hold of the reply: header fields by dnslib's names, `None` for
silence, or a function of the raw reply.
"""

import contextlib
import json
import socket
import struct

import dnslib
import pytest

KS3, STRANGER_LISTENER = "127.20.3.5", "dns:"


def header(id_=7, flags=0x0100, counts=(1, 0, 0, 0)):
    return struct.pack("!HHHHHH", id_, flags, *counts)


def name(text):
    return b"".join(bytes((len(each),)) + each.encode() for each in text.split(".") if each) + b"\0"


def query(text="bet.example", qtype=1, qclass=1, *, flags=0x0100, opt=None, extra=b"", counts=None):
    more = b"" if opt is None else opt
    counts = counts or (1, 0, 0, int(opt is not None))
    return header(flags=flags, counts=counts) + name(text) + struct.pack("!HH", qtype, qclass) + more + extra


def opt(size=1232, ttl=0, options=b""):
    return b"\0" + struct.pack("!HHIH", 41, size, ttl, len(options)) + options


def option(code, data):
    return struct.pack("!HH", code, len(data)) + data


def parsed(wire):
    return dnslib.DNSRecord.parse(wire)


def edns(wire):
    (found,) = [rr for rr in parsed(wire).ar if rr.rtype == 41]
    return found


def options(wire):
    return {each.code: bytes(each.data) for each in edns(wire).rdata}


CLIENT = b"8 bytes!"
ROWS = [
    # RFC 1035
    ("1035 4.1.1: the id comes back", query(), {"id": 7, "qr": 1}),
    ("1035 4.1.1: RD is copied, RA says that we recurse", query(), {"rd": 1, "ra": 1}),
    ("1035 4.1.1: without RD it is answered all the same", query(flags=0), {"rd": 0, "rcode": 0}),
    ("1035 4.1.1: an unknown opcode is not implemented", query(flags=0x2100), {"rcode": 4}),
    ("1035 4.1.1: the opcode comes back", query(flags=0x2100), lambda wire: wire[2] >> 3 & 15 == 4),
    ("1035 4.1.1: an answer is never answered", query(flags=0x8100), None),
    ("1035 4.1.2: no question is malformed", header(counts=(0, 0, 0, 0)), {"rcode": 1}),
    ("9619 4: two questions are malformed", query(counts=(2, 0, 0, 0), extra=name("a.example") + b"\0\1\0\1"), {"rcode": 1}),
    ("1035 4.1.3: an answer in a query is malformed", query(counts=(1, 1, 0, 0)), {"rcode": 1}),
    ("1035 4.1.4: a question is not compressed", header() + b"\xc0\x0c\0\1\0\1", {"rcode": 1}),
    ("1035 2.3.4: no label is longer than 63", header() + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", {"rcode": 1}),
    ("1035 2.3.4: no name is longer than 255", query(".".join(["a" * 63] * 4)), {"rcode": 1}),
    ("1035 2.3.4: a name of 253 characters is answered", query(".".join(["a" * 63] * 3 + ["b" * 49, "bet.example"])), {"rcode": 0}),
    ("1035 4.1.1: shorter than a header is no message", b"\0\7\1", None),
    ("1035 3.2.4: other classes than IN are refused", query("version.bind", 16, 3), {"rcode": 5}),
    ("1035 3.2.3: transfers are refused", query(qtype=252), {"rcode": 5}),
    ("1995 2: so are incremental ones", query(qtype=251), {"rcode": 5}),
    ("4343 3: case makes no difference", query("BeT.eXample"), lambda wire: len(parsed(wire).rr) == 1),
    ("4343 3: and comes back as it was asked (0x20)", query("BeT.eXample"), lambda wire: name("BeT.eXample") in wire),
    ("2308 2.2: what has no record says so with an SOA", query(qtype=16), lambda wire: [rr.rtype for rr in parsed(wire).auth] == [6]),
    ("8482 4.2: ANY gets one small record", query("news.example", 255), lambda wire: [rr.rtype for rr in parsed(wire).rr] == [13]),
    ("6840 5.7: AD in a query is no offence", query(flags=0x0120), {"rcode": 0}),
    ("4035 3.2.2: CD is copied", query(flags=0x0110), lambda wire: wire[3] & 0x10),
    ("5395 2.1: Z is cleared", query(flags=0x0140), lambda wire: not wire[3] & 0x40),
    # RFC 6891
    ("6891 6.1.1: without OPT there is none in the reply", query(), lambda wire: not parsed(wire).ar),
    ("6891 6.1.1: with OPT there is", query(opt=opt()), edns),
    ("6891 6.1.1: two OPT are malformed", query(opt=opt() + opt(), counts=(1, 0, 0, 2)), {"rcode": 1}),
    ("6891 6.1.2: OPT belongs to the root", query(opt=b"\1a" + opt()), {"rcode": 1}),
    ("6891 6.1.2: unknown options are passed over", query(opt=opt(options=option(65001, b"x") + option(4242, b""))), {"rcode": 0}),
    ("6891 6.1.2: and do not come back", query(opt=opt(options=option(65001, b"x"))), lambda wire: 65001 not in options(wire)),
    ("6891 6.1.2: an option that is cut off is malformed", query(opt=opt(options=b"\0\3\0\x50")), {"rcode": 1}),
    ("6891 6.1.3: another version is BADVERS, with ours", query(opt=opt(ttl=0x00010000)), lambda wire: edns(wire).ttl >> 16 == 0x0100),
    ("6891 6.2.3: less than 512 counts as 512", query(opt=opt(size=100)), {"rcode": 0, "tc": 0}),
    ("3225 3: DO is copied", query(opt=opt(ttl=0x8000)), lambda wire: edns(wire).ttl & 0x8000),
    ("8914 2: a block says why", query(opt=opt()), lambda wire: options(wire)[15][:2] == b"\0\x11"),
    ("structured-dns-error 5.1: as JSON to who asks for that", query(opt=opt(options=option(15, b"\0\0"))), lambda wire: json.loads(options(wire)[15][2:])["o"] == "Hillview School"),
    ("2845 3: a TSIG that we do not know is passed over", query(opt=opt() + b"\0" + struct.pack("!HHIH", 250, 255, 0, 0), counts=(1, 0, 0, 2)), {"rcode": 0}),
    # RFC 7873
    ("7873 5.2.3: a client's cookie comes back with ours", query(opt=opt(options=option(10, CLIENT))), lambda wire: options(wire)[10][:8] == CLIENT and len(options(wire)[10]) == 24),
    ("7873 5.2.2: a cookie of a wrong length is malformed", query(opt=opt(options=option(10, b"short"))), {"rcode": 1}),
    ("7873 5.2.2: so is one of 12 bytes", query(opt=opt(options=option(10, bytes(12)))), {"rcode": 1}),
    ("7873 5.2.4: a wrong server's half counts as none", query(opt=opt(options=option(10, CLIENT + bytes(16)))), {"rcode": 0}),
    ("7873 5.2.1: without a cookie there is none", query(opt=opt()), lambda wire: 10 not in options(wire)),
    ("7828 3.2.1: no keepalive by UDP", query(opt=opt(options=option(11, b""))), lambda wire: 11 not in options(wire)),
    ("7830 4: no padding by UDP", query(opt=opt(options=option(12, bytes(9)))), lambda wire: 12 not in options(wire)),
    ("7871 7.1.2: a client's subnet is not passed back", query(opt=opt(options=option(8, b"\0\1\x18\0\1\2\3"))), lambda wire: 8 not in options(wire)),
    # names that mean something
    ("8484, Mozilla's canary: this network filters", query("use-application-dns.net"), {"rcode": 3}),
    ("9460 9: HTTPS leaks nothing past a block on A", query(qtype=65), lambda wire: not parsed(wire).rr),
    ("9460 9: nor does SVCB", query(qtype=64), lambda wire: not parsed(wire).rr),
    ("3597 5: unknown types are answered", query(qtype=65280), {"rcode": 0}),
    ("6895 3.1: OPT is no type that is asked for", query(qtype=41), {"rcode": 5}),
    ("6895 3.1: nor is type 0", query(qtype=0), {"rcode": 5}),
]  # fmt: skip


@pytest.mark.parametrize(("packet", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_by_udp(running, make_live, upstream, packet, expected):
    with running(make_live(), upstream.address) as server:
        check(server, packet, expected)
        check(server, packet, expected)  # the reply may be kept ready now


def check(server, packet, expected):
    if expected is None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((KS3, 0))
            sock.settimeout(5)
            sock.sendto(packet, server.address)
            sock.sendto(query(), server.address)
            assert sock.recv(4096)[4:6] == b"\0\1"  # the second one's, so nothing came for the first
        return
    wire = server.packet(packet)
    assert wire[:2] == packet[:2]
    if callable(expected):
        assert expected(wire)
    else:
        got = parsed(wire).header
        assert {field: getattr(got, field) for field in expected} == expected


def test_the_table_names_enough():
    assert len(ROWS) >= 45
    assert len({row[0] for row in ROWS}) == len(ROWS)


def test_7828_3_3_2_by_tcp_keepalive_says_how_long(running, make_live):
    packet = query(opt=opt(options=option(11, b"")))
    with running(make_live(), tcp_idle_s=7.5) as server, server.stream() as stream:
        stream.sendall(len(packet).to_bytes(2) + packet)
        with stream.makefile("rb") as got:
            wire = got.read(int.from_bytes(got.read(2)))
    assert options(wire)[11] == (75).to_bytes(2)


def large(upstream):
    upstream.zone["big.example", "A"] = "\n".join(f"big.example. 300 IN A 203.0.113.{n}" for n in range(40))


def test_7873_7_a_client_with_our_cookie_gets_large_replies_when_others_are_sent_to_tcp(running, make_live, upstream):
    large(upstream)
    with running(make_live(), upstream.address, large_replies_s=3) as server:
        given = options(server.packet(query("big.example", opt=opt(options=option(10, CLIENT)))))[10]
        plain = [parsed(server.packet(query("big.example", opt=opt()))).header.tc for _ in range(8)]
        assert 1 in plain  # "come by TCP", which who forges an address cannot do
        assert all(len(server.packet(query("big.example", opt=opt()))) < 200 for _ in range(3)) or 0 in plain
        with_cookie = query("big.example", opt=opt(options=option(10, given)))
        assert [parsed(server.packet(with_cookie)).header.tc for _ in range(8)] == [0] * 8
        forged = query("big.example", opt=opt(options=option(10, given[:-1] + b"!")))
        assert 1 in [parsed(server.packet(forged)).header.tc for _ in range(8)]
        assert parsed(server.packet(query("big.example", opt=opt()), source="127.20.3.6")).header.tc == 0


def test_5358_4_addresses_of_no_school_are_refused_and_then_passed_over(make_live, at):
    from dns.answers import Answers
    from dns.settings import Settings

    events = []
    given = Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),), refusals_s=3)
    answers = Answers(given, make_live(), events.append, clock=at.timestamp)
    packet, stranger = query("news.example"), socket.inet_aton("9.9.9.9")
    replies = answers.many([(packet, stranger)] * 6, "dns:127.0.0.1:53")
    assert [reply and parsed(reply).header.rcode for reply in replies] == [5, 5, 5, None, None, None]
    assert all(len(reply) <= len(packet) for reply in replies if reply)
    assert len(events) == 3
    assert answers.counters.dropped["stranger"] == 3


def test_one_client_may_be_held_to_a_rate(running, make_live):
    with running(make_live(), client_queries_s=5) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((KS3, 0))
        sock.settimeout(2)
        for _ in range(40):
            sock.sendto(query(), server.address)
        got = []
        while len(got) < 20:
            got.append(parsed(sock.recv(4096)).header.tc)
        assert 0 in got
        assert 1 in got
        assert parsed(server.packet(query(), source="127.20.3.9")).header.tc == 0


def test_7766_6_2_3_a_client_that_drips_is_as_slow_as_one_that_says_nothing(running, make_live):
    with running(make_live(), tcp_idle_s=0.5) as server, server.stream() as stream:
        stream.settimeout(0.1)
        with pytest.raises(ConnectionError):
            drip(stream, b"\xff\xff" + bytes(200))


def drip(stream, data):
    for byte in data:
        stream.send(bytes((byte,)))
        with contextlib.suppress(TimeoutError):
            if stream.recv(1) == b"":
                raise ConnectionError


def test_7766_8_a_message_may_have_65535_bytes(running, make_live):
    packet = query(opt=opt(options=option(65001, bytes(60_000))))
    with running(make_live()) as server, server.stream() as stream:
        stream.sendall(len(packet).to_bytes(2) + packet)
        with stream.makefile("rb") as got:
            assert parsed(got.read(int.from_bytes(got.read(2)))).header.rcode == 0
