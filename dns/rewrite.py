"""Answers that are not passed on as they came: safe search's other name, and service records without what hides or hurries.

Two things are rewritten, and nothing else ever: an engine's name is led to the name on which it keeps safe search on, and
HTTPS and SVCB records lose ECH keys (with which no one could see where a connection goes) and offers of HTTP/3 (which no
proxy sees) where the school inspects. What is rewritten is no longer what its owner signed, so it goes without signatures
and without AD; an answer in which nothing has to change is handed back as the very same object, signatures and all. Pure.
"""

import struct
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from dns import codec
from dns.codec import Answer, Query

ALPN, NO_DEFAULT_ALPN, ECH, MANDATORY = 1, 2, 5, 0  # RFC 9460 14.3.2, RFC 9848
HURRIED: Final = (b"h3", b"hq")  # HTTP/3 and its drafts: QUIC
_RECORD = struct.Struct("!HHIH")
_OWN_NAME: Final = b"\xc0\x0c"  # a pointer to the question's name


def instead(query: Query, target: str) -> Query:
    """The question that an upstream is asked in place of the client's."""
    return replace(query, name=target, qname=codec.wire_name(target))


def led(query: Query, target: str, found: Answer | None) -> Answer:
    """The client's name as an alias of `target`, with the addresses that were found for that.

    `found` None: for types other than addresses the alias has nothing to offer, and an SOA of ours says so.
    """
    alias = codec.wire_name(target)
    body = bytearray(_OWN_NAME + _RECORD.pack(codec.CNAME, codec.IN, 0, len(alias)) + alias)
    at = 12 + len(query.qname) + 4 + len(_OWN_NAME) + _RECORD.size  # where the alias stands in the message
    lifetime = found.lifetime if found else codec.OWN_TTL
    ttls = [(len(_OWN_NAME) + 4, lifetime)]
    wanted = {codec.A: 4, codec.AAAA: 6}.get(query.qtype)
    rdatas = [ip.packed for ip in map(ip_address, found.addresses if found else ()) if ip.version == wanted]
    for rdata in rdatas:
        ttls.append((len(body) + 6, lifetime))
        body += struct.pack("!H", 0xC000 | at) + _RECORD.pack(query.qtype, codec.IN, 0, len(rdata)) + rdata
    if not rdatas:
        soa = codec.own_soa(codec.OWN_TTL)
        body += struct.pack("!H", 0xC000 | at) + _RECORD.pack(codec.SOA, codec.IN, codec.OWN_TTL, len(soa)) + soa
    rcode = found.rcode if found else codec.NOERROR
    return Answer(rcode, False, (1 + len(rdatas), 0 if rdatas else 1, 0), bytes(body), tuple(ttls), lifetime, (target,))


def unhidden(query: Query, answer: Answer) -> Answer:
    """The answer without ECH keys and offers of HTTP/3. The same object when there are none.

    Names may overlap with what stands behind the answers and is not passed on. No client could read those.
    """
    try:
        return _unhidden(query, answer)
    except (IndexError, struct.error, ValueError):
        return replace(answer, ad=False, counts=(0, 0, 0), body=b"", ttls=())


def _unhidden(query: Query, answer: Answer) -> Answer:
    data = bytes(12) + query.qname + struct.pack("!HH", query.qtype, query.qclass) + answer.body
    start = len(data) - len(answer.body)
    at, changed = start, False
    kept: list[tuple[bytes, int, int, int, bytes]] = []  # owner, type, class, TTL, rdata
    for number in range(answer.counts[0]):
        labels, at = codec.name_at(data, at)
        rtype, rclass, ttl, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        rdata = data[at : at + length]
        if rclass != codec.IN:  # of another class: no client takes it for an answer
            at += length
            continue
        if rtype in (codec.SVCB, codec.HTTPS):
            target, parameters_at = codec.name_at(data, at + 2)
            parameters = data[parameters_at : at + length]
            plain = _plain(parameters)
            changed = changed or plain != parameters
            rdata = rdata[:2] + _wire(target) + plain
        elif rtype in (codec.CNAME, codec.DNAME):
            rdata = _wire(codec.name_at(data, at)[0])
        if rtype in (codec.SVCB, codec.HTTPS, codec.CNAME):
            kept.append((_wire(labels), rtype, rclass, answer.ttls[number][1], rdata))
        at += length
    if not changed:
        return answer
    body, ttls = bytearray(), []
    for owner, rtype, rclass, ttl, rdata in kept:
        ttls.append((len(body) + len(owner) + 4, ttl))
        body += owner + _RECORD.pack(rtype, rclass, ttl, len(rdata)) + rdata
    return replace(answer, ad=False, counts=(len(kept), 0, 0), body=bytes(body), ttls=tuple(ttls))


def _wire(labels: list[bytes]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _plain(parameters: bytes) -> bytes:
    """Service parameters without ECH, HTTP/3, and the marks that speak of what has gone."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(parameters):
        key, length = struct.unpack_from("!HH", parameters, at)
        found[key] = parameters[at + 4 : at + 4 + length]
        at += 4 + length
    if ECH not in found and not any(each.startswith(HURRIED) for each in _protocols(found.get(ALPN, b""))):
        return parameters
    found.pop(ECH, None)
    if ALPN in found:
        slow = [each for each in _protocols(found[ALPN]) if not each.startswith(HURRIED)]
        if slow:
            found[ALPN] = b"".join(bytes((len(each),)) + each for each in slow)
        else:  # what is left is the protocol that everyone speaks
            del found[ALPN]
            found.pop(NO_DEFAULT_ALPN, None)
    if MANDATORY in found:
        keys = [key for (key,) in struct.iter_unpack("!H", found[MANDATORY][: len(found[MANDATORY]) // 2 * 2])]
        found[MANDATORY] = b"".join(struct.pack("!H", key) for key in keys if key in found)
        if not found[MANDATORY]:
            del found[MANDATORY]
    return b"".join(struct.pack("!HH", key, len(value)) + value for key, value in sorted(found.items()))


def _protocols(alpn: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(alpn):
        found.append(alpn[at + 1 : at + 1 + alpn[at]])
        at += 1 + alpn[at]
    return found
