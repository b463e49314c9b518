"""An upstream's answer, walked as far as the filter judges it: where it leads, and for how long it holds. Pure.

Its records stay the bytes that they were: what is not understood here goes on unharmed.

INVARIANT: whatever the bytes, `read_answer` raises nothing but `Malformed`.
"""

import ipaddress
import struct
from typing import Final

from dns.codec import (
    AAAA,
    AD,
    CNAME,
    DNAME,
    HEADER,
    HTTPS,
    IN,
    NXDOMAIN,
    OPT,
    QR,
    RECORD,
    SOA,
    SVCB,
    TC,
    A,
    Answer,
    Malformed,
    Query,
    name_at,
    name_text,
)  # fmt: skip

MOST_RECORDS: Final = 1000  # of an answer that is still worth reading


def read_answer(data: bytes, asked: Query, id_: int) -> Answer | None:
    """An upstream's answer to `asked`; None when it was truncated. Malformed when it is not that, or not well formed."""
    if len(data) < 12:
        raise Malformed("shorter than a header")
    got, flags, questions, answers, authorities, additionals = HEADER.unpack_from(data)
    question = asked.qname.lower() + struct.pack("!HH", asked.qtype, asked.qclass)
    start = 12 + len(question)
    if got != id_ or not flags & QR or flags & 0x7800 or questions != 1:
        raise Malformed("not an answer to this query")
    if data[12 : start - 4].lower() + data[start - 4 : start] != question:
        raise Malformed("an answer to another question")
    if flags & TC:
        return None
    if answers + authorities + additionals > MOST_RECORDS:
        raise Malformed("more records than any answer has")
    try:
        return _read_records(data, start, flags, (answers, authorities, additionals))
    except (IndexError, struct.error, ValueError) as error:
        raise Malformed(f"an answer that cannot be read: {error}") from None


def _read_records(data: bytes, start: int, flags: int, counts: tuple[int, int, int]) -> Answer:
    at, end, kept = start, start, 0
    rcode = flags & 0xF
    ttls: list[tuple[int, int]] = []
    alive: list[int] = []
    negative: int | None = None
    targets: list[str] = []
    addresses: list[str] = []
    opt_seen = False
    for number in range(sum(counts)):
        _, at = name_at(data, at)
        rtype, rclass, ttl, length = RECORD.unpack_from(data, at)
        begin = at + RECORD.size
        if begin + length > len(data):
            raise Malformed("a record that is cut off")
        if rtype == OPT:
            rcode |= (ttl >> 24) << 4
            opt_seen = True
        elif not opt_seen:  # what follows the OPT is left off with it: additional records are a courtesy
            ttl = 0 if ttl & 0x80000000 else ttl  # RFC 2181 8
            ttls.append((at + 4 - start, ttl))
            kept, end = number + 1, begin + length
            if number < counts[0]:
                alive.append(ttl)
                if rclass == IN:
                    more_targets, more_addresses = _leads(data, rtype, begin, begin + length)
                    targets += more_targets
                    addresses += more_addresses
            elif rtype == SOA and number < counts[0] + counts[1]:
                negative = min(ttl, int(struct.unpack_from("!I", data, begin + length - 4)[0]))
        at = begin + length
    if kept < counts[0] + counts[1]:
        raise Malformed("an OPT record among the answers")
    if negative is not None:  # also at the end of a chain of CNAMEs that leads nowhere
        alive.append(negative)
    elif rcode == NXDOMAIN:
        alive.clear()  # RFC 2308 5: without an SOA it is not kept
    return Answer(
        rcode=rcode,
        ad=bool(flags & AD),
        counts=(counts[0], counts[1], kept - counts[0] - counts[1]),
        body=data[start:end],
        ttls=tuple(ttls),
        lifetime=min(alive, default=0),
        targets=tuple(dict.fromkeys(targets)),
        addresses=tuple(addresses),
    )


def _leads(data: bytes, rtype: int, at: int, end: int) -> tuple[list[str], list[str]]:
    """Where a record leads: names, and addresses."""
    if rtype == A:
        return [], [str(ipaddress.IPv4Address(data[at:end]))]
    if rtype == AAAA:
        return [], [str(ipaddress.IPv6Address(data[at:end]))]
    if rtype in (CNAME, DNAME):
        labels, after = name_at(data, at)
        if after != end:
            raise Malformed("a target that does not fill its record")
        return [name_text(labels)], []
    if rtype in (SVCB, HTTPS):
        labels, at = name_at(data, at + 2)
        return [name_text(labels)] if labels else [], _hints(data, at, end)  # "." stands for the name itself
    return [], []


def _hints(data: bytes, at: int, end: int) -> list[str]:
    """The addresses among service parameters: ipv4hint and ipv6hint (RFC 9460 7.3)."""
    hints: list[str] = []
    while at < end:
        key, length = struct.unpack_from("!HH", data, at)
        at += 4
        if key == 4:
            hints += [str(ipaddress.IPv4Address(data[i : i + 4])) for i in range(at, at + length, 4)]
        elif key == 6:
            hints += [str(ipaddress.IPv6Address(data[i : i + 16])) for i in range(at, at + length, 16)]
        at += length
    if at != end:
        raise Malformed("a service parameter that is cut off")
    return hints
