"""An answer may speak only of the name that was asked, and of what that leads to (RFC 5452 6, RFC 2181 5.4.1). Pure.

Answers are kept under their question and given to nobody else, and what stands in the authority and additional sections is
never used to answer anything. So the one thing to check is that each record of the answer section belongs to the chain that
begins at the name asked for; a resolver that slips in another name is not believed at all.
"""

import struct

from dns import codec
from dns.codec import Answer, Malformed, Query

_RECORD = struct.Struct("!HHIH")


def confined(query: Query, answer: Answer) -> Answer:
    """The answer, if it speaks of nothing else; Malformed otherwise."""
    if answer.counts[0] == 0:
        return answer
    start = 12 + len(query.qname) + 4
    data = bytes(12) + query.qname.lower() + bytes(4) + answer.body
    name = _key(codec.name_at(data, 12)[0])
    owners: list[tuple[bytes, ...]] = []
    aliases: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}
    zones: set[tuple[bytes, ...]] = set()
    at = start
    for _ in range(answer.counts[0]):
        labels, at = codec.name_at(data, at)
        rtype, _, _, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        owners.append(_key(labels))
        if rtype == codec.CNAME:
            aliases[owners[-1]] = _key(codec.name_at(data, at)[0])
        elif rtype == codec.DNAME:
            zones.add(owners[-1])
        at += length
    chain = {name}
    while (name := aliases.get(name, name)) not in chain:
        chain.add(name)
    for owner in owners:
        if owner not in chain and not (owner in zones and any(_ends(each, owner) for each in chain)):
            raise Malformed("an answer about names that were not asked for")
    return answer


def _key(labels: list[bytes]) -> tuple[bytes, ...]:
    return tuple(label.lower() for label in labels)


def _ends(name: tuple[bytes, ...], zone: tuple[bytes, ...]) -> bool:
    return name[len(name) - len(zone) :] == zone
