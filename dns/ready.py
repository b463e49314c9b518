"""Replies kept ready: what makes a repeated question cheap, and the fast path's theory.

Most queries are repeats: the same question by clients of the same profile, with the same flags and the same plain EDNS.
Their reply differs in two places only, the id and the asker's own spelling of the name (0x20). So a finished reply is kept
under everything of the packet but these two, behind the profile's number, and a repeat costs one look into a dict and one
join: no parsing, no decision, no copy of the question.

Blocked names are too many to be kept (malware invents a thousand names an hour, and they would drive out the names that a
school uses). But their replies differ in nothing but the name: `policy.decide.alike` says which names are blocked by equal
decisions. So one *form* is kept for each profile, shape of packet and kind of name. A blocked name that was never asked for
before costs one look into the index, and is decided by `decide` all the same: by the one decision that made the form. Which
form a blocked name had is remembered for those of late, as programs ask for the same few trackers again and again.

INVARIANT: a reply kept ready never outlives the rules that it was decided with (its profile's number ends with them:
seats.py), the decision's `until`, or its TTLs. It is never older than the clock either: when that is set back, `Answers`
forgets all (policy may begin as well as end).
INVARIANT: a form is only ever filled with a name that the long way would take to `decide`, and to a block.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

from dns.cache import Generations
from dns.codec import LONGEST_NAME, Query
from dns.respond import by_rule_book
from dns.seats import Seat
from dns.steering import Needs
from policy.decide import alike

FORMS: Final = 4_096  # profiles by shapes of packets by kinds of names; then the memory starts afresh
OF_LATE: Final = 8_192  # blocked names whose form is remembered, 250 bytes each; then the memory starts afresh
_PLAIN_BYTES: Final = b"abcdefghijklmnopqrstuvwxyz0123456789_-"
_ASKED: Final = 10  # where the question begins in what follows an id
_LONGEST_LABEL: Final = 44  # of a plain name: lengths up to it cannot be taken for a letter, a digit or a hyphen
_DOTTED: Final = bytes(  # lengths become dots, and what has no place in a plain name becomes NUL
    byte if byte in _PLAIN_BYTES else ord(".") if 0 < byte <= _LONGEST_LABEL else 0 for byte in range(256)
)


@dataclass(frozen=True, slots=True)
class Form:
    """A reply in two halves between which the asker's spelling of the name goes, and the ending of its event."""

    until: float
    head: bytes  # from behind the id to the question
    tail: bytes  # from behind the name's last letter
    ending: bytes  # in the memory of forms: what follows the host
    kind: tuple[str, str]  # action and reason, for the counters
    needs: Needs | None = None  # what a gateway's kernel must know of each client who gets it


@dataclass(frozen=True, slots=True)
class Ready:
    """A reply kept ready for one name: all of it but the id, as to someone who spells the name in lower case."""

    until: float
    reply: bytes
    ending: bytes
    kind: tuple[str, str]
    needs: Needs | None


type Found = tuple[bytes, bytes, tuple[str, str], Needs | None]  # reply, its event's ending, its kind, and what it needs


class ReadyReplies:
    """Of one worker."""

    def __init__(self, entries: int) -> None:
        self._kept: Generations[bytes, Ready] = Generations(entries)
        self._forms: dict[bytes, dict[Hashable, Form]] = {}  # by the packet without its name, then by `alike`
        self._of_late: dict[bytes, tuple[Form, bytes]] = {}  # forms by the whole question, with the event's ending
        self._count = 0

    def clear(self) -> None:
        self._kept.clear()
        self._forms.clear()
        self._of_late.clear()
        self._count = 0

    def give(self, others: "ReadyReplies") -> None:
        """Let others hold what is held here, and no more here."""
        kept, forms, self._kept, self._forms = self._kept.young, self._forms, Generations(1), {}
        others.take(kept, forms)

    def take(self, kept: dict[bytes, Ready], forms: dict[bytes, dict[Hashable, Form]]) -> None:
        """Hold these as well, which are nobody else's any more."""
        self._kept.take(kept)
        for shape, some in forms.items():
            for kin, form in some.items():
                self.put_form(shape, kin, form)

    def find(self, packet: bytes, seat: Seat, now: float) -> Found | None:
        """The reply to a packet, if it is ready."""
        # Most names come in lower case, and then the packet is the key as it stands: see `keep`.
        ready = self._kept.young.get(packet[2:] + seat.profile)
        if ready is not None and now < ready.until:
            return packet[:2] + ready.reply, ready.ending, ready.kind, ready.needs
        end = packet.find(b"\0", 12)
        head, tail, asked = packet[2:end].lower(), packet[end:] + seat.profile, packet[12:end]
        key = head + tail
        ready = self._kept.get(key)
        if ready is not None:
            if now >= ready.until:
                return None
            halves = ready.reply[:_ASKED], ready.reply[_ASKED + len(asked) :]
            return b"".join((packet[:2], halves[0], asked, halves[1])), ready.ending, ready.kind, ready.needs
        late = self._of_late.get(key)
        if late is None or now >= late[0].until:  # another form may have taken its place
            late = self._by_form(head, tail, seat, now)
            if late is None:
                return None
            self._remember(key, late)
        form, written = late
        return b"".join((packet[:2], form.head, asked, form.tail)), written, form.kind, None

    def _by_form(self, head: bytes, tail: bytes, seat: Seat, now: float) -> tuple[Form, bytes] | None:
        """For a name without a reply of its own, the form that it is blocked by, and its event's ending."""
        forms = self._forms.get(head[:_ASKED] + tail)
        if forms is None or seat.rules is None or (host := _plain_host(head)) is None or not by_rule_book(host):
            return None
        form = forms.get(alike(seat.rules, host))
        if form is None or now >= form.until:
            return None
        return form, b'"%b"%b' % (host.encode(), form.ending)

    def _remember(self, key: bytes, late: tuple[Form, bytes]) -> None:
        if len(self._of_late) >= OF_LATE:
            self._of_late.clear()
        self._of_late[key] = late

    def keep(self, packet: bytes, query: Query, seat: Seat, said: Form, *, blocked: bool) -> None:
        """Keep a reply: under the whole question, or if it is a block by the rule book, as the form of all that are alike.

        The whole question is the packet behind its id, its name in lower case.
        """
        end = 11 + len(query.qname)
        if not repeatable(packet, end, query):
            return
        head, tail = packet[2:end].lower(), packet[end:] + seat.profile
        host = _plain_host(head)
        if blocked and seat.rules and host == query.name and by_rule_book(host):
            kin = alike(seat.rules, host)
            if kin is not None:
                self.put_form(head[:_ASKED] + tail, kin, replace(said, ending=said.ending[len(host) + 2 :]))
                return
        reply = said.head + head[_ASKED:] + said.tail
        self.put(head + tail, Ready(said.until, reply, said.ending, said.kind, said.needs))

    def put(self, key: bytes, ready: Ready) -> None:
        self._kept.put(key, ready)

    def put_form(self, shape: bytes, kin: Hashable, form: Form) -> None:
        if self._count >= FORMS:
            self._forms.clear()
            self._count = 0
        self._forms.setdefault(shape, {})[kin] = form
        self._count += 1

    def __len__(self) -> int:
        return len(self._kept)


def _plain_host(head: bytes) -> str | None:
    """The name that ends a packet's beginning (from the flags on, in lower case); None if it is no plain one.

    Plain is what `codec` reads and `category_lists.names.canonical_host` leaves as it is: whatever is in doubt is not.
    """
    if not 11 < len(head) <= 11 + LONGEST_NAME - 2 or head[10] > _LONGEST_LABEL:
        return None
    name = head[11:].translate(_DOTTED)
    lengths = head[10:].translate(None, _PLAIN_BYTES)
    if b"xn--" in name or lengths != bytes(map(len, name.split(b"."))):
        return None
    host = name.decode()
    return None if host[host.rfind(".") + 1].isdigit() else host  # it could be an address


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
