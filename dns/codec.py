"""DNS messages: strangers' bytes to values and back. Pure, and the only module that knows dnslib.

Why so much by hand. A filter must read exactly what the next resolver would read, must forward records that it does not
understand byte for byte, and must do both some 50,000 times a second. dnslib takes every record apart (and raises a dozen
kinds of error on those it knows but dislikes), at a tenth of that speed. So a query is read by `parse`, strictly; an answer
is walked only as far as the filter judges it (reading.py); dnslib has the tables of names, and is the tests' second
opinion on every byte that is written here.

INVARIANT: whatever the bytes, `parse` raises nothing but `Malformed`.
"""

import ipaddress
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from dnslib import QTYPE, RCODE, DNSRecord

A, NS, CNAME, SOA, HINFO, PTR, AAAA, DNAME, OPT, SVCB, HTTPS, ANY = 1, 2, 5, 6, 13, 12, 28, 39, 41, 64, 65, 255
NOT_RESOLVED: Final = frozenset({0, OPT, 128, 249, 250, 251, 252, 253, 254})  # meta types, transfers: RFC 6895 3.1
IN: Final = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
BLOCKED, FILTERED, NO_UPSTREAM, NETWORK_ERROR = 15, 17, 22, 23  # RFC 8914. 16, Censored, is for states; never ours
STALE, FORGED, STALE_NXDOMAIN = 3, 4, 19  # likewise
OWN_TTL: Final = 60  # of what we say ourselves, other than of blocked names
COOKIE, KEEPALIVE, PADDING, EDE = 10, 11, 12, 15  # EDNS options: RFC 7873, 7828, 7830, 8914
BLOCK: Final = 468  # what padded replies are a multiple of: RFC 8467 4.1
OUR_SIZE: Final = 1232  # what fits through every network unfragmented: dnsflagday.net/2020
SMALLEST_SIZE: Final = 512  # RFC 1035 4.2.1
LONGEST_NAME: Final = 255  # RFC 1035 2.3.4
LONGEST_TEXT: Final = 120  # of an extended error, so that every answer of our own fits into 512 bytes
LONGEST_TTL: Final = 0x7FFFFFFF  # RFC 2181 8

HEADER_SIZE: Final = 12
HEADER: Final = struct.Struct("!HHHHHH")
RECORD: Final = struct.Struct("!HHIH")  # type, class, TTL, length
_PLAIN = re.compile(rb"[a-z0-9_-]").fullmatch
_PLAIN_NAME = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*").fullmatch
QR, TC, RD, RA, AD, CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010


class Malformed(ValueError):
    """These bytes are no message that can be answered; `reply` is what to say to their sender, None: nothing."""

    def __init__(self, why: str, reply: bytes | None = None, rcode: int | None = None) -> None:
        super().__init__(why)
        self.reply = reply
        self.outcome = "dropped" if rcode is None else rcode_text(rcode)


@dataclass(frozen=True, slots=True)
class Edns:
    """What the client said of itself (RFC 6891). Its options are not passed on: they tell an upstream about a child."""

    size: int
    do: bool
    cookie: bytes = b""  # the client's, with ours behind it if it has one (RFC 7873 4)
    keepalive: bool = False  # it asks how long a connection may stay (RFC 7828)
    padded: bool = False  # it hides the length of its query, and wants ours hidden (RFC 7830)
    structured: bool = False  # it reads reasons as JSON (draft-ietf-dnsop-structured-dns-error)
    reply: bytes = b""  # options of ours to go with the reply


@dataclass(frozen=True, slots=True)
class Query:
    """One question, well formed. `name` is lower-case text, odd bytes as three digits; `qname` the bytes as they came."""

    id: int
    name: str
    qname: bytes
    qtype: int
    qclass: int = IN
    rd: bool = True
    ad: bool = False
    cd: bool = False
    edns: Edns | None = None

    @property
    def do(self) -> bool:
        return self.edns is not None and self.edns.do

    @property
    def size(self) -> int:
        """What a UDP answer may measure: never more than fits unfragmented, whatever was asked for (amplification)."""
        return min(max(self.edns.size, SMALLEST_SIZE), OUR_SIZE) if self.edns else SMALLEST_SIZE


@dataclass(frozen=True, slots=True)
class Answer:
    """An upstream's answer: its records as they came, and what the filter judges them by.

    `body` is everything behind the question. Names in it point back to offsets of the whole message, which stay right
    because an answer is only ever sent behind a question of the same length.
    """

    rcode: int
    ad: bool
    counts: tuple[int, int, int]
    body: bytes
    ttls: tuple[tuple[int, int], ...]  # (offset in body, seconds)
    lifetime: int  # seconds that it may be kept
    targets: tuple[str, ...] = ()  # names that it leads on to: CNAME, DNAME, SVCB, HTTPS
    addresses: tuple[str, ...] = ()  # A, AAAA and the hints of SVCB and HTTPS


@dataclass(frozen=True, slots=True)
class Ede:
    """An extended error (RFC 8914)."""

    code: int
    text: str


@cache
def rcode_text(rcode: int) -> str:
    if rcode == BADVERS:
        return "BADVERS"
    text = str(RCODE.get(rcode))
    return f"RCODE{rcode}" if text.isdecimal() else text


@cache
def type_text(qtype: int) -> str:
    text = str(QTYPE.get(qtype))
    return f"TYPE{qtype}" if text.isdecimal() else text  # RFC 3597 5


def type_number(text: str) -> int:
    """The type of a name such as "AAAA" or "TYPE65"; ValueError for none."""
    number = QTYPE.reverse.get(text.upper())
    if number is None and text.upper().startswith("TYPE") and text[4:].isdecimal():
        number = int(text[4:])
    if number is None or not 0 <= number <= 0xFFFF:
        raise ValueError(f"DNS knows no records of type {text[:20]}")
    return int(number)


def text_lines(reply: bytes) -> list[str]:
    """The answers of a reply of ours as people read them; records that dnslib cannot read are not guessed at."""
    try:
        return [str(record) for record in DNSRecord.parse(reply).rr]
    except Exception:  # noqa: BLE001 - dnslib raises many kinds; this is for people to read, and decides nothing
        return ["(records that cannot be shown)"] if reply[6:8] != b"\0\0" else []


def reason_text(reply: bytes) -> str:
    """The extended error of a reply of ours, as clients are told it; "" when it has none."""
    try:
        found = [option for record in DNSRecord.parse(reply).ar if record.rtype == OPT for option in record.rdata]
    except Exception:  # noqa: BLE001 - dnslib raises many kinds; this is for people to read, and decides nothing
        return ""
    return next((bytes(each.data)[2:].decode() for each in found if each.code == EDE), "")


def wire_name(text: str) -> bytes:
    """A plain lower-case name as DNS carries it."""
    labels = [label.encode("ascii") for label in text.split(".")] if text else []
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


# --- reading ---------------------------------------------------------------------------------------------------------


def _name(data: bytes, at: int, *, pointers: bool) -> tuple[list[bytes], int]:
    """The labels of a name, and where what follows it begins. Pointers lead strictly backwards, so there are no loops."""
    labels: list[bytes] = []
    size, after, limit = 1, 0, at
    while True:
        length = data[at]
        if length == 0:
            return labels, after or at + 1
        if length <= 63:
            label = data[at + 1 : at + 1 + length]
            size += length + 1
            if len(label) < length or size > LONGEST_NAME:
                raise Malformed("a name that is cut off or too long")
            labels.append(label)
            at += 1 + length
        elif length >= 0xC0 and pointers:
            target = (length & 0x3F) << 8 | data[at + 1]
            after = after or at + 2
            if not 12 <= target < limit:
                raise Malformed("a name that points forwards")
            at = limit = target
        else:
            raise Malformed("a name with a label of unknown kind")


def name_at(data: bytes, at: int) -> tuple[list[bytes], int]:
    """The labels of a name in a message that was read before, and where what follows it begins."""
    return _name(data, at, pointers=True)


def name_text(labels: Sequence[bytes]) -> str:
    name = b".".join(labels).lower()
    if _PLAIN_NAME(name) and name.count(b".") == len(labels) - 1:
        return name.decode("ascii")
    return ".".join("".join(chr(b) if _PLAIN(bytes((b,))) else f"\\{b:03d}" for b in label.lower()) for label in labels)


def parse(data: bytes) -> Query:
    """Read a query; Malformed says what to answer to anything else."""
    if len(data) < 12:
        raise Malformed("shorter than a header")
    id_, flags, questions, answers, authorities, additionals = HEADER.unpack_from(data)
    if flags & QR:
        raise Malformed("an answer sent to a server")  # never answered: two servers would talk for ever
    opcode = flags >> 11 & 0xF
    if opcode != 0:
        raise _complaint(id_, flags, NOTIMP, f"opcode {opcode}")
    if questions != 1 or answers or authorities or flags & TC:
        raise _complaint(id_, flags, FORMERR, "not exactly one question")
    try:
        labels, at = _name(data, 12, pointers=False)
        qname = data[12:at]
        qtype, qclass = struct.unpack_from("!HH", data, at)
        edns, version, at = _additionals(data, at + 4, additionals)
    except (Malformed, IndexError, struct.error) as error:
        raise _complaint(id_, flags, FORMERR, str(error)) from None
    if at != len(data):
        raise _complaint(id_, flags, FORMERR, "bytes behind the message")
    if version:
        head = HEADER.pack(id_, QR | RA | flags & (RD | CD), 1, 0, 0, 1)
        opt = struct.pack("!BHHBBHH", 0, OPT, OUR_SIZE, BADVERS >> 4, 0, 0, 0)
        raise Malformed("EDNS of an unknown version", head + data[12 : 16 + len(qname)] + opt, BADVERS)
    return Query(
        id=id_,
        name=name_text(labels),
        qname=qname,
        qtype=qtype,
        qclass=qclass,
        rd=bool(flags & RD),
        ad=bool(flags & AD),
        cd=bool(flags & CD),
        edns=edns,
    )


def _complaint(id_: int, flags: int, rcode: int, why: str) -> Malformed:
    return Malformed(why, HEADER.pack(id_, QR | flags & 0x7800 | flags & RD | rcode, 0, 0, 0, 0), rcode)


def _additionals(data: bytes, at: int, count: int) -> tuple[Edns | None, int, int]:
    """The client's EDNS, its version, and where the message ends. TSIG, SIG(0) and the like are passed over."""
    edns, version = None, 0
    for _ in range(count):
        owner, at = _name(data, at, pointers=True)
        rtype, rclass, ttl, length = RECORD.unpack_from(data, at)
        at += RECORD.size
        if at + length > len(data):
            raise Malformed("a record that is cut off")
        if rtype == OPT:
            if edns or owner:
                raise Malformed("two OPT records, or one with a name")  # RFC 6891 6.1.1
            edns, version = _edns(rclass, bool(ttl & 0x8000), data[at : at + length]), ttl >> 16 & 0xFF
        at += length
    return edns, version, at


def _edns(size: int, do: bool, options: bytes) -> Edns:
    """What the client said of itself; options that we do not know are passed over (RFC 6891 6.1.2)."""
    at, found = 0, dict[int, bytes]()
    while at < len(options):
        code, length = struct.unpack_from("!HH", options, at)
        at += 4 + int(length)
        found.setdefault(int(code), options[at - int(length) : at])
    if at != len(options):
        raise Malformed("an EDNS option that is cut off")
    cookie = found.get(COOKIE, b"")
    if COOKIE in found and len(cookie) != 8 and not 16 <= len(cookie) <= 40:
        raise Malformed("a cookie of a wrong length")  # RFC 7873 5.2.2
    return Edns(size, do, cookie, KEEPALIVE in found, PADDING in found, EDE in found)


def option(code: int, data: bytes) -> bytes:
    return struct.pack("!HH", code, len(data)) + data


# --- writing ---------------------------------------------------------------------------------------------------------


def ask(query: Query, id_: int, spelling: bytes | None = None) -> bytes:
    """The query as an upstream gets it: our own spelling (none: lower case) and EDNS, with the client's DO only."""
    flags = RD | AD | (CD if query.cd else 0)  # AD: "tell me if it was validated" (RFC 6840 5.7), for all who share it
    head = HEADER.pack(id_, flags, 1, 0, 0, 1)
    opt = struct.pack("!BHHIH", 0, OPT, OUR_SIZE, 0x8000 if query.do else 0, 0)
    return head + (spelling or query.qname.lower()) + struct.pack("!HH", query.qtype, query.qclass) + opt


def _opt(query: Query, ede: Ede | None, rcode: int, size: int, limit: int) -> bytes:
    """Our EDNS, to go behind `size` bytes."""
    if query.edns is None:
        return b""
    options = query.edns.reply
    if ede:
        text = ede.text.encode()[:LONGEST_TEXT].decode("utf-8", "ignore").encode()
        options += option(EDE, ede.code.to_bytes(2) + text)
    if query.edns.padded:
        size += 11 + len(options) + 4
        options += option(PADDING, bytes(min(-size % BLOCK, max(0, limit - size))))
    ttl = (rcode >> 4) << 24 | (0x8000 if query.do else 0)
    return struct.pack("!BHHIH", 0, OPT, OUR_SIZE, ttl, len(options)) + options


def _message(
    query: Query,
    rcode: int,
    counts: tuple[int, int, int],
    body: bytes,
    *,
    ad: bool = False,
    ede: Ede | None = None,
    limit: int = 65535,
) -> bytes:
    question = query.qname + struct.pack("!HH", query.qtype, query.qclass)
    opt = _opt(query, ede, rcode, 12 + len(question) + len(body), limit)
    flags = QR | RA | (RD if query.rd else 0) | (CD if query.cd else 0) | (AD if ad else 0) | rcode & 0xF
    if 12 + len(question) + len(body) + len(opt) > limit:
        flags, counts, body = flags | TC, (0, 0, 0), b""
    answers, authorities, additionals = counts
    return HEADER.pack(query.id, flags, 1, answers, authorities, additionals + bool(opt)) + question + body + opt


def error(query: Query, rcode: int, ede: Ede | None = None) -> bytes:
    """An answer that is only a code: SERVFAIL, REFUSED, NOTIMP."""
    return _message(query, rcode, (0, 0, 0), b"", ede=ede)


_SOA_NAMES: Final = wire_name("schoolgate.internal") + wire_name("hostmaster.schoolgate.internal")


def own_soa(ttl: int) -> bytes:
    """The data of an SOA that says for how long what is not there may be remembered."""
    return _SOA_NAMES + struct.pack("!IIIII", 1, 3600, 600, 86400, ttl)


def absent(query: Query, rcode: int, ttl: int, ede: Ede | None = None) -> bytes:
    """NXDOMAIN, or NOERROR without a record; an SOA of ours says for how long (RFC 2308)."""
    rdata = own_soa(ttl)
    return _message(query, rcode, (0, 1, 0), b"\xc0\x0c" + RECORD.pack(SOA, IN, ttl, len(rdata)) + rdata, ede=ede)


def pointing(query: Query, addresses: tuple[str, ...], ttl: int, ede: Ede | None = None) -> bytes:
    """The addresses of the family that was asked for; for other types and families nothing, said properly."""
    count, body = _address_records(addresses, query.qtype, ttl)
    if not count:
        return absent(query, NOERROR, ttl, ede)
    return _message(query, NOERROR, (count, 0, 0), body, ede=ede)


@lru_cache(maxsize=256)  # the same few for every blocked name
def _address_records(addresses: tuple[str, ...], qtype: int, ttl: int) -> tuple[int, bytes]:
    wanted = {A: 4, AAAA: 6}.get(qtype)
    found = [ip.packed for ip in map(ipaddress.ip_address, addresses) if ip.version == wanted]
    return len(found), b"".join(b"\xc0\x0c" + RECORD.pack(qtype, IN, ttl, len(ip)) + ip for ip in found)


def truncated(query: Query) -> bytes:
    """No answer, but to ask again by TCP."""
    reply = _message(query, NOERROR, (0, 0, 0), b"")
    return reply[:2] + (int.from_bytes(reply[2:4]) | TC).to_bytes(2) + reply[4:]


def lifetime(reply: bytes) -> int:
    """How many seconds a reply of ours may be kept: the lowest TTL in it, an OPT apart."""
    _, at = _name(reply, 12, pointers=False)
    at, lowest = at + 4, LONGEST_TTL
    for _ in range(sum(HEADER.unpack_from(reply)[3:])):
        _, at = _name(reply, at, pointers=True)
        rtype, _, ttl, length = RECORD.unpack_from(reply, at)
        at += RECORD.size + length
        lowest = lowest if rtype == OPT else min(lowest, ttl)
    return 0 if lowest == LONGEST_TTL else int(lowest)


def minimal_any(query: Query, ttl: int) -> bytes:
    """RFC 8482: a question for everything gets one small record."""
    return _message(query, NOERROR, (1, 0, 0), b"\xc0\x0c" + RECORD.pack(HINFO, IN, ttl, 9) + b"\x07RFC8482\x00")


def named(query: Query, names: Sequence[str], ttl: int) -> bytes:
    """The names of an address: PTR records of ours."""
    rdatas = [wire_name(name) for name in names]
    body = b"".join(b"\xc0\x0c" + RECORD.pack(PTR, IN, ttl, len(rdata)) + rdata for rdata in rdatas)
    return _message(query, NOERROR, (len(rdatas), 0, 0), body)


def relay(query: Query, answer: Answer, *, age: int, ttl_max: int, limit: int, ede: Ede | None = None) -> bytes:
    """An upstream's answer for this client: its id and spelling, its EDNS, TTLs aged and capped, cut to its size."""
    body = bytearray(answer.body)
    for offset, ttl in answer.ttls:
        struct.pack_into("!I", body, offset, max(0, min(ttl - age, ttl_max)))
    ad = answer.ad and (query.ad or query.do)  # RFC 6840 5.8
    return _message(query, answer.rcode, answer.counts, bytes(body), ad=ad, ede=ede, limit=limit)
