"""Who is told of what happens to changes, and of what the filter refuses: by e-mail and by webhook.

A watcher looks at what is there, not at who did it. So a request is told of wherever it came from (desk, script, block page,
list update, authority), and a machine that was off tells when it is on again. Each occasion has a key; what was put into
the outbox once is not put again.

An e-mail crosses networks that are not the school's: it says what was asked for, and by which member of staff, but neither
the reason nor anything a pupil typed. These stand on the page that its link opens, behind the sign-in. GET changes nothing
at this desk, so a link that is followed by a mail scanner approves nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from admin_api import outbox, words
from admin_api.deps import Services
from admin_api.filter_state import filter_state
from admin_api.outbox import ALL_HOOKS, EMAIL, WEBHOOK, Message
from admin_api.telling import Ground, names
from change_control import screening, standing
from change_control.authority import Waiting, waits
from change_control.book import CLOCKS_DIFFER, CONSOLE
from change_control.ledger import LedgerMismatch
from change_control.lifecycle import State
from change_control.screening import BLOCK_PAGE
from change_control.service import HEAD
from change_control.tables import ChangeRow, EntryRow, LogRow, RoleRow
from policy.grounds import SECOND_ROLES
from policy.rules import SchoolPolicy, instant
from policy.words import uk_end

RECENT = timedelta(days=2)  # how far back decisions are told of
HEADS = {"school": ("headteacher",), "authority": ("la_officer",)}
SUBJECTS = {
    Waiting.FRESH: "A request waits for you",
    Waiting.REMINDED: "A request has waited for two school days",
    Waiting.DEPUTY: "A request has waited for four school days",
    Waiting.OFFICER: "Nobody has decided a request for six school days",
}
DECIDED = {
    State.IN_FORCE: "Your request was approved",
    State.REFUSED: "Your request was refused",
    State.REVERSED: "What you asked for was taken back",
    State.LAPSED: "What you did was not ratified, and has gone back",
    State.EXPIRED: "What you asked for has ended, as it was agreed",
}
EVENTS = {
    State.REQUESTED: "request.waiting",
    State.PROVISIONAL: "change.provisional",
    State.IN_FORCE: "change.in_force",
    State.REFUSED: "request.refused",
    State.WITHDRAWN: "request.withdrawn",
    State.REVERSED: "change.reversed",
    State.LAPSED: "change.lapsed",
    State.EXPIRED: "change.expired",
}


def stage(now: datetime, ground: Ground, row: ChangeRow) -> Waiting:
    """How long a request has waited, in the school days of its school's own calendar."""
    school = ground.document if isinstance(ground.document, SchoolPolicy) else None
    terms = {term for table in school.timetables for term in table.terms} if school else ()
    return waits(row.requested_at, now, sorted(terms), school.timezone if school else words.ZONE)


@dataclass(slots=True)
class Watcher:
    """Puts into the outbox what has become worth telling. Called by the thread that sends."""

    services: Services
    hooks: bool = False  # is anyone told by webhook?
    _told: set[str] = field(default_factory=set)  # occasions already looked at by this process
    _began: datetime | None = None

    def __call__(self) -> None:
        now = self.services.office.now()
        found: list[Message] = []
        fresh: set[str] = set()
        with self.services.store.read() as session:
            rows = self._rows(session, now)
            first = with_teachers(self.services, session, rows)
            for row in rows:
                found += self._of(session, row, now, fresh, pupils=row.id in first)
            found += self._problems(session, now, fresh)
        if found:
            with self.services.store.write() as session:
                for message in found:
                    outbox.put(session, message, now)
        self._told |= fresh

    def _rows(self, session: Session, now: datetime) -> Sequence[ChangeRow]:
        """What waits, and what was decided of late."""
        since = max(self._began or now - RECENT, now - RECENT)
        waiting = ChangeRow.state.in_((State.REQUESTED, State.PROVISIONAL))
        decided = and_(ChangeRow.decided_at.is_not(None), ChangeRow.decided_at >= since)
        return session.scalars(select(ChangeRow).where(or_(waiting, decided)).order_by(ChangeRow.id)).all()

    def _of(self, session: Session, row: ChangeRow, now: datetime, fresh: set[str], *, pupils: bool) -> list[Message]:
        ground = Ground.of(self.services.snapshot(), row.log)
        state = State(row.state)
        waiting = stage(now, ground, row) if state is State.REQUESTED else Waiting.FRESH
        occasion = f"change {row.id} {state.value} {waiting.value}{' teacher' if pupils else ''}"
        if occasion in self._told:
            return []
        fresh.add(occasion)
        told = _Case(self.services, session, ground, row, occasion)
        if pupils and waiting is Waiting.FRESH:
            found = told.to_teacher()
        elif state is State.REQUESTED:
            found = told.to_deciders(waiting)
        elif state is State.PROVISIONAL:
            found = told.to_ratify()
        else:
            found = told.to_requester(state)
        if self.hooks:
            found.append(told.hook(state, waiting, now))
        return found

    def _problems(self, session: Session, now: datetime, fresh: set[str]) -> list[Message]:
        """What the desk or a worker refused to obey: an edited row or file, a log rolled back. Told once a day each."""
        found: list[Message] = []
        snapshot, state = self.services.snapshot(), filter_state(self.services)
        self._look_at_clock(session, now)
        alarms = tuple(self.services.alarms.values())
        for text in dict.fromkeys((*self.services.live.problems.values(), *state.problems(), *alarms)):
            occasion = f"refused {hashlib.sha256(text.encode()).hexdigest()[:24]} {now:%Y-%m-%d}"
            if occasion in self._told:
                continue
            fresh.add(occasion)
            log = text.partition(":")[0]
            logs = [log] if log in snapshot.revisions else sorted(snapshot.revisions)
            found += alarm(session, self.services, logs, text, occasion, hooks=self.hooks, now=now)
        return found

    def _look_at_clock(self, session: Session, now: datetime) -> None:
        """A clock set back would bring ended exceptions to life again."""
        last = session.scalar(select(func.max(EntryRow.at)))
        if last is not None and last - now > CLOCKS_DIFFER:
            said = f"{instant(now)}, but the change log has an entry of {instant(last)}"
            self.services.alarms["clock"] = f"the clock of this machine has been set back: it says {said}"
        else:
            self.services.alarms.pop("clock", None)


def alarm(
    session: Session, services: Services, logs: Iterable[str], text: str, occasion: str, *, hooks: bool, now: datetime
) -> list[Message]:
    """The headteacher, the technician and the LA officer of each log hear that something was refused."""
    authority = services.office.key.authority
    officers = outbox.addresses(session, authority, ("la_officer",))
    found = []
    for log in logs:
        people = officers | outbox.addresses(session, log, ("headteacher", "technician", "la_officer"))
        body = (
            f"Something at {_name(session, log)} does not agree with what was signed:\n\n  {text}\n\n"
            "It was refused. The last good policy stays in force, so filtering goes on. Change nothing on the machine before "
            f"someone has looked: {services.public_url}/changes?check=true\n"
        )
        subject = f"{_name(session, log)}: the filter refused something that was not signed"
        found += [Message(log, EMAIL, to, subject, body, f"{occasion} {log}") for to in sorted(set(people.values()))]
        if hooks:
            data = {"school": log, "problem": text}
            event = outbox.event("policy.refused", now, data)
            found.append(Message(log, WEBHOOK, ALL_HOOKS, "policy.refused", event, f"{occasion} {log}"))
    return found


def with_teachers(services: Services, session: Session, rows: Sequence[ChangeRow]) -> frozenset[int]:
    """Which pupils' requests are with a named teacher."""
    found: frozenset[int] = frozenset()
    for log in {row.log for row in rows if row.source == BLOCK_PAGE}:
        try:
            found |= screening.with_teacher(services.office, session, log, [row for row in rows if row.log == log])
        except LedgerMismatch:  # named elsewhere; the headteacher hears of it at once
            continue
    return found


def _name(session: Session, log: str) -> str:
    row = session.get(LogRow, log)
    return row.name if row else log


@dataclass(frozen=True, slots=True)
class _Case:
    """One change on one occasion, and who hears what of it."""

    services: Services
    session: Session
    ground: Ground
    row: ChangeRow
    occasion: str

    @property
    def link(self) -> str:
        return f"{self.services.public_url}/requests/{self.row.id}"

    @property
    def what(self) -> str:
        return self.ground.sentence(json.loads(self.row.diff))

    @property
    def asker(self) -> str:
        return names(self.session, [self.row.requested_by])[self.row.requested_by]

    def mail(self, people: dict[str, str], subject: str, *lines: str) -> list[Message]:
        school = _name(self.session, self.row.log)
        text = "\n\n".join((school, self.what, *lines, f"{self.link}\n"))
        subject = f"{school}: {subject}"
        addresses = sorted({to for person, to in people.items() if person != self.row.requested_by})
        return [Message(self.row.log, EMAIL, to, subject, text, self.occasion) for to in addresses]

    def at(self, *roles: str) -> dict[str, str]:
        return outbox.addresses(self.session, self.row.log, roles)

    def to_deciders(self, waiting: Waiting) -> list[Message]:
        asked = f"Asked for by {self.asker}. Why, and what it would have done to past traffic, stands on the page."
        how = "Open the page, sign in, and decide. Nothing is approved by opening it."
        subject = SUBJECTS[waiting]
        if waiting is Waiting.OFFICER:
            away = "The headteacher has not decided, and nothing opens by waiting. Please speak to her."
            officers = self.at("la_officer") or outbox.addresses(
                self.session, self.services.office.key.authority, ["la_officer"]
            )
            return [*self.mail(officers, subject, away, asked), *self.mail(self._deciders(), subject, asked, how)]
        if waiting is Waiting.DEPUTY:
            delegates = self._delegates()
            found = self.mail(delegates, subject, "You stand in for the headteacher by her delegation.", asked, how)
            if not delegates:
                remind = "You hold no delegation, so you cannot approve it: please remind the headteacher."
                found = self.mail(self.at("deputy"), subject, remind, asked)
            return [*found, *self.mail(self._deciders(), subject, asked, how)]
        return self.mail(self._deciders(), subject, asked, how)

    def to_teacher(self) -> list[Message]:
        """A pupil's request: the teacher whom the headteacher named hears of it before she does."""
        people = screening.named(self.services.office, self.session, self.row.log).of(self.row)
        found = {person: to for person in people if (to := outbox.address_at(self.session, person))}
        if not found:
            return self.to_deciders(Waiting.FRESH)
        how = "The headteacher named you to look first: pass it on to her, or refuse it. Nothing opens by either."
        return self.mail(found, "A pupil asks for something", how)

    def _deciders(self) -> dict[str, str]:
        """Those whose signature it waits for."""
        if self.row.kind == HEAD:
            return self.at(*SECOND_ROLES)
        heads = HEADS[self._tier]
        own = select(RoleRow.person).where(RoleRow.log == self.row.log, RoleRow.role.in_(heads))
        if self.row.requested_by in set(self.session.scalars(own)):
            return self.at(*heads, *SECOND_ROLES)  # her own request: she and a second person
        return self.at(*heads) | self._delegates()

    def _delegates(self) -> dict[str, str]:
        try:
            entries = standing.delegations(self.services.office, self.session, self.row.log)
        except LedgerMismatch:  # named elsewhere, and no reason to tell the headteacher nothing
            return {}
        people = [str(one["delegation"]["person"]) for one in entries if self.row.kind in one["delegation"]["kinds"]]
        return {person: to for person in people if (to := outbox.address_at(self.session, person))}

    @property
    def _tier(self) -> str:
        row = self.session.get(LogRow, self.row.log)
        return row.tier if row else "school"

    def to_ratify(self) -> list[Message]:
        entry = self.session.get(EntryRow, (self.row.log, self.row.entry)) if self.row.entry is not None else None
        glass = bool(entry and json.loads(entry.text).get("rests_on", {}).get("glass"))
        end = uk_end(self.row.ratify_by) if self.row.ratify_by else "the end of its time"
        people = self.at(*HEADS[self._tier])
        if glass:
            people |= self.at("la_officer", "dsl")
            subject = "The glass was broken: this is in force now"
        else:
            subject = "This took effect under a standing mandate"
        return self.mail(people, subject, f"The headteacher ratifies it, or it goes back by itself: {end}.")

    def to_requester(self, state: State) -> list[Message]:
        to = outbox.address_at(self.session, self.row.requested_by)
        if not to or state not in DECIDED or self.row.requested_by in {BLOCK_PAGE, CONSOLE, self.row.decided_by}:
            return []
        line = "The reason stands on the page." if state is State.REFUSED else "Where it stands:"
        text = "\n\n".join((_name(self.session, self.row.log), self.what, line, f"{self.link}\n"))
        return [Message(self.row.log, EMAIL, to, DECIDED[state], text, self.occasion)]

    def hook(self, state: State, waiting: Waiting, now: datetime) -> Message:
        data = {
            "school": self.row.log,
            "change": self.row.id,
            "kind": self.row.kind,
            "state": state.value,
            "waiting": waiting.value if state is State.REQUESTED else None,
            "sentence": self.what,
            "source": self.row.source,
            "url": self.link,
        }
        return Message(self.row.log, WEBHOOK, ALL_HOOKS, EVENTS[state], outbox.event(EVENTS[state], now, data), self.occasion)
