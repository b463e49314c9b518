"""Replies kept ready: what makes a repeated question cheap, and the fast path's theory.

Most queries are repeats: the same question by clients of the same profile, with the same flags and the same plain EDNS.
Their reply differs in two places only, the id and the asker's own spelling of the name (0x20). So a finished reply is kept
under everything of the packet but these two, behind the profile's number, and a repeat costs one look into a dict and one
join: no parsing, no decision, no copy of the question.

Blocked names are too many to be kept (malware invents a thousand names an hour, and they would drive out the names that a
school uses). But their replies differ in nothing but the name: `policy.decide.alike` says which names are blocked by equal
decisions. So one *form* is kept for each profile, shape of packet and kind of name. A blocked name that was never asked for
before costs one look into the index, and is decided by `decide` all the same: by the one decision that made the form.

INVARIANT: a reply kept ready never outlives the snapshot that it was decided with, the decision's `until`, or its TTLs.
INVARIANT: a form is only ever filled with a name that the long way would take to `decide`, and to a block.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from dns.cache import Generations
from dns.codec import LONGEST_NAME, Query
from dns.respond import by_rule_book
from policy.decide import alike
from policy.identity import Client
from policy.snapshot import Profile

FORMS: Final = 4_096  # profiles by shapes of packets by kinds of names; then the memory starts afresh
_PLAIN_HOST = re.compile(rb"(?:[a-z0-9_-]{1,63}\.)*[a-z_-][a-z0-9_-]{0,62}").fullmatch  # as category_lists/names.py has it


@dataclass(frozen=True, slots=True)
class Seat:
    """A client's address on one listener: what its events say, and which replies it shares with its profile."""

    client: Client | None
    who: tuple[str, str, str, str, str, str]  # school, group, network, identified_by, person, address
    profile: bytes  # two bytes at the end of a key: a reply is for all clients that are decided upon alike
    opening: bytes = b""  # `who` as the event log has it
    rules: Profile | None = None  # what the client is judged by


@dataclass(frozen=True, slots=True)
class Ready:
    """A reply kept ready, in two halves between which the asker's spelling goes, and the ending of its event."""

    made: float
    until: float
    head: bytes  # from behind the id to the question
    tail: bytes  # from behind the name's last letter
    ending: bytes  # of a form: what follows the host
    kind: tuple[str, str]  # action and reason, for the counters


class ReadyReplies:
    """Of one worker, for one snapshot."""

    def __init__(self, entries: int) -> None:
        self._kept: Generations[bytes, Ready] = Generations(entries)
        self._forms: dict[tuple[bytes, bytes, bytes, Hashable], Ready] = {}

    def clear(self) -> None:
        self._kept.clear()
        self._forms.clear()

    def find(self, packet: bytes, seat: Seat, now: float) -> tuple[bytes, bytes, Ready] | None:
        """The reply to a packet and its event's ending, if they are ready. Never raises for what a stranger sent."""
        end = packet.find(b"\0", 12)
        ready = self._kept.get(packet[2:end].lower() + packet[end:] + seat.profile)
        if ready is not None and ready.made <= now < ready.until:
            return b"".join((packet[:2], ready.head, packet[12:end], ready.tail)), ready.ending, ready
        if (rules := seat.rules) is None or not (host := _plain_host(packet, end)) or not by_rule_book(name := host.decode()):
            return None
        form = self._forms.get((seat.profile, packet[2:12], packet[end:], alike(rules, name)))
        if form is not None and form.made <= now < form.until:
            return b"".join((packet[:2], form.head, packet[12:end], form.tail)), b'"%b"%b' % (host, form.ending), form
        return None

    def keep(self, packet: bytes, query: Query, seat: Seat, ready: Ready, *, blocked: bool) -> None:
        """Keep a reply, under the whole question, or as the form for its like: see `Ready.ending`."""
        end = 11 + len(query.qname)
        if not repeatable(packet, end, query):
            return
        if blocked and seat.rules and _plain_host(packet, end) and by_rule_book(query.name):
            kin = alike(seat.rules, query.name)
            if kin is not None:
                if len(self._forms) >= FORMS:
                    self._forms.clear()
                ending = ready.ending[len(query.name) + 2 :]
                form = Ready(ready.made, ready.until, ready.head, ready.tail, ending, ready.kind)
                self._forms[seat.profile, packet[2:12], packet[end:], kin] = form
                return
        self._kept.put(packet[2:end].lower() + packet[end:] + seat.profile, ready)

    def __len__(self) -> int:
        return len(self._kept)


def _plain_host(packet: bytes, end: int) -> bytes | None:
    """The name of a packet whose first zero is at `end`, in lower case; None if it is no plain one."""
    if not 12 < end < 12 + LONGEST_NAME:
        return None
    at, labels = 12, []
    while at < end:
        after = at + 1 + packet[at]
        labels.append(packet[at + 1 : after])
        at = after
    host = b".".join(labels).lower()
    plain = at == end and _PLAIN_HOST(host) and b"xn--" not in host and host.count(b".") == len(labels) - 1
    return host if plain else None


def repeatable(packet: bytes, end: int, query: Query) -> bool:
    """May the reply to this packet be kept under its bytes? Only if id and spelling are all that it may differ in.

    Lower-casing from the flags to the name's end must change nothing but the name, so no bit may be set that makes a flag
    byte look like a letter, and the counts must be plain; options (a cookie, say) are new each time, and not worth keeping.
    """
    return (
        packet.find(b"\0", 12) == end
        and not packet[3] & 0x4F
        and packet[10] == 0
        and packet[11] == (query.edns is not None)
        and len(packet) == end + (16 if query.edns else 5)
    )
