"""What people do with changes. Each function takes a session and never commits: the record and the change are one.

Read with `lifecycle.py` (which acts are possible when) and `authority.py` (who may do them).
"""

import json
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, object_session

from category_lists.lists import ListVersion
from category_lists.taxonomy import Taxonomy
from change_control import changes, lifecycle, list_service, passing, screening, standing, tiers
from change_control.authority import NotAllowed, Permission, may, require, stacks_with
from change_control.book import CONSOLE, Book, InForce, policy_of
from change_control.bounds import bounded
from change_control.changes import Diff, ReverseWish, Wish
from change_control.dictionaries import Dictionaries
from change_control.keys import AuthorityKey, Signs
from change_control.lifecycle import ENTRY_KINDS, Act, State
from change_control.quorum import asked_by_head, both, enrolled, officer_and_second
from change_control.school_wishes import HeadWish
from change_control.tables import AccessRow, ChangeRow, DetailRow, LogRow, SignatureRow
from policy.grounds import TWO_PERSON_KINDS
from policy.proof import Entry, canonical, digest
from policy.rules import SchoolPolicy, instant, write

HEAD = "head"  # the kind of change by which a school gets another headteacher
FILTER = "filter"  # what the filter learnt and proposes itself


class ChangedSinceShown(ValueError):
    """What would be signed is no longer what was shown."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts: a pseudonym, a name for details, and the roles held at each school."""

    id: str
    name: str
    roles: Mapping[str, frozenset[str]]

    def at(self, log: str) -> frozenset[str]:
        return self.roles.get(log, frozenset())


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a request: the change, and whether a mandate put it in force at once."""

    change: ChangeRow
    in_force: bool
    waits_because: str = ""


@dataclass(frozen=True, slots=True)
class Office:
    """Change control of one installation."""

    key: AuthorityKey
    dictionaries: Dictionaries
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def open(cls, data: Path) -> "Office":
        return cls(AuthorityKey.load(data), Dictionaries(data))

    def book(self, session: Session, log: str) -> Book:
        return Book(session, self.key, log)

    # --- asking -------------------------------------------------------------------------------------------------------

    def request(
        self,
        session: Session,
        log: str,
        wish: Wish,
        *,
        by: Person | None,
        reason: str,
        source: str = "desk",
        asker: str = "",
        reference: str | None = None,
        group: str = "",
        reverses: int | None = None,
    ) -> ChangeRow:
        """Ask for a change. `by` None: a pupil at the block page, or the machine's console; `asker` says who in words.

        A request with the reference of an earlier one is that one: the spool may hand it over twice.
        """
        book = self.book(session, log)
        if by is not None:
            require(by.at(log), Permission.REPLACE_HEAD if isinstance(wish, HeadWish) else Permission.REQUEST, tier=book.tier)
        if reference and (known := session.scalar(select(ChangeRow).where(ChangeRow.reference == reference))):
            return known
        reason = reason.strip()
        if len(reason) < 3:
            raise ValueError("say why, in a sentence: the headteacher decides on it")
        wish = bounded(wish, self.now())
        force = policy_of(book)
        row = ChangeRow(
            log=log,
            kind="",
            state=State.REQUESTED,
            requested_by=by.id if by else source,
            requested_at=self.now(),
            source=source,
            reference=reference,
            group=group,
            reverses=reverses,
        )
        session.add(row)
        session.flush()
        if isinstance(wish, HeadWish):
            wish = replace(wish, leaves=tuple(sorted(enrolled(session, book, "headteacher"))))
        diff = wish.diff(row.id, force.document, self.taxonomy(force))
        changes.apply(force.document, diff)  # what does not fit is said now, not when she approves
        self._no_other_school(session, log, diff)
        row.kind, row.diff, row.until = str(diff["kind"]), canonical(diff), changes.until(diff)
        detail = self.keep_detail(session, row, "request", {"asker": by.name if by else asker, "reason": reason[:2000]})
        book.append(
            "change.requested",
            self.now(),
            change=row.id,
            diff=diff,
            requested_by=row.requested_by,
            source=source,
            detail=detail,
        )
        return row

    def _no_other_school(self, session: Session, log: str, diff: Diff) -> None:
        asked = {(network["prefix"], network["listener"]) for network in diff["add"].get("networks", ())}
        if not asked:
            return
        for other in session.scalars(select(LogRow.id).where(LogRow.tier == "school", LogRow.id != log)):
            force = self.book(session, other).in_force()
            if force and isinstance(force.document, SchoolPolicy):
                for network in force.document.networks:
                    if (network.prefix, network.listener) in asked:
                        raise ValueError(f"{network.prefix} belongs to another school on the same listener")

    def taxonomy(self, force: InForce) -> Taxonomy:
        """The taxonomy that a policy decides with."""
        return self.dictionaries.taxonomy(force.document.dictionary)

    def keep_detail(self, session: Session, row: ChangeRow, part: str, words: Mapping[str, str]) -> str:
        """Keep names and words beside the ledger, and return the salted digest by which an entry holds them."""
        salt, text = secrets.token_hex(16), canonical(words)
        session.add(DetailRow(change=row.id, part=part, salt=salt, text=text))
        return digest(salt + text)

    # --- deciding -----------------------------------------------------------------------------------------------------

    def approve(self, session: Session, row: ChangeRow, by: Person, signer: Signs, shown: str) -> State:
        """The headteacher signs a change into force; her own waits for the second person as well. Returns the new state."""
        book = self.book(session, row.log)
        lifecycle.after(State(row.state), Act.APPROVE)
        roles = by.at(row.log)
        own_head = asked_by_head(session, book, row)
        two = own_head or row.kind in TWO_PERSON_KINDS
        rests_on: dict[str, Any] = {}
        if row.kind == HEAD:
            require(roles, Permission.REPLACE_HEAD)
        elif two:
            if not (may(roles, Permission.APPROVE, tier=book.tier) or may(roles, Permission.SECOND)):
                require(roles, Permission.APPROVE, tier=book.tier)
        else:
            rests_on = self.standing_in(session, book, row, by, Permission.APPROVE)
        if row.kind != HEAD and not own_head and row.requested_by == by.id:
            raise NotAllowed("nobody approves what they asked for themselves")
        diff = _shown(row, shown)
        self._ratified_before(session, row, diff["set"])
        self._no_other_school(session, row.log, diff)  # another school may have taken the addresses since it was asked
        if any(one["person"] == by.id for one in standing.signatures_of(session, row, "approve")):
            raise NotAllowed("you have signed this already; it waits for the second person")
        session.merge(
            SignatureRow(change=row.id, person=by.id, at=self.now(), text=canonical(signer.sign("approve", row.log, diff)))
        )
        session.flush()
        signatures = standing.signatures_of(session, row, "approve")
        if row.kind == HEAD and not officer_and_second(session, book, signatures):
            return State(row.state)
        if row.kind != HEAD and two and not both(session, book, row, signatures=signatures):
            return State(row.state)
        state = self.put_in_force(book, row, diff, Act.APPROVE, by, {**rests_on, "signatures": signatures})
        self._follow_reversal(session, row)
        return state

    def _ratified_before(self, session: Session, row: ChangeRow, sets: Collection[str]) -> None:
        """What a mandate let through lies below this change: if it lapsed later, this one would hang in the air.

        Not so with the dictionary: it is rebuilt without what lapses (policy/rebuild.py), so nobody has to wait.
        """
        sets = set(sets) - {"dictionary"}
        below = select(ChangeRow).where(ChangeRow.log == row.log, ChangeRow.state == State.PROVISIONAL)
        for first in session.scalars(below.order_by(ChangeRow.entry)):
            if not set(sets).isdisjoint(json.loads(first.diff)["set"]):
                raise ValueError(
                    f"change {first.id} took effect under a mandate and is not ratified; ratify it or take it back first"
                )

    def standing_in(self, session: Session, book: Book, row: ChangeRow, by: Person, permission: Permission) -> dict[str, Any]:
        """What an act rests on beside the signature: nothing more for the head, her delegation for who stands in for her."""
        if may(by.at(row.log), permission, tier=book.tier):
            return {}
        number = standing.delegation_of(self, session, row.log, by.id, row.kind)
        if number is None or asked_by_head(session, book, row):
            require(by.at(row.log), permission, tier=book.tier)
        return {"delegation": number}

    def refuse(self, session: Session, row: ChangeRow, by: Person, reason: str) -> State:
        """The headteacher says no, with a reason that the requester gets."""
        book = self.book(session, row.log)
        if row.kind == HEAD:
            require(by.at(row.log), Permission.REPLACE_HEAD)
        elif not screening.may_screen(self, session, row, by):
            self.standing_in(session, book, row, by, Permission.REFUSE)
        return self.note(session, book, row, Act.REFUSE, by, reason)

    def withdraw(self, session: Session, row: ChangeRow, by: Person) -> State:
        """Whoever asked no longer wants it."""
        if row.requested_by != by.id:
            raise NotAllowed("only the person who asked may withdraw a request")
        return self.note(session, self.book(session, row.log), row, Act.WITHDRAW, by, "")

    def note(self, session: Session, book: Book, row: ChangeRow, act: Act, by: Person | None, reason: str) -> State:
        """An act that leaves the policy as it is."""
        state = lifecycle.after(State(row.state), act)
        detail = self.keep_detail(session, row, act.value, {"by": by.name, "reason": reason}) if by else None
        book.append(
            ENTRY_KINDS[act],
            self.now(),
            change=row.id,
            by=by.id if by else None,
            by_roles=sorted(by.at(row.log)) if by else None,
            detail=detail,
        )
        self._decided(row, state, by)
        return state

    def reverse(self, session: Session, row: ChangeRow, by: Person, signer: Signs, shown: str) -> State:
        """The headteacher takes back what is in force: what loosened, or what a mandate let through.

        Taking back what tightened opens something, so it is asked for like any other change (`request_reversal`).
        """
        book = self.book(session, row.log)
        lifecycle.after(State(row.state), Act.REVERSE)
        _not_sealed(row)
        require(by.at(row.log), Permission.REVERSE, tier=book.tier)
        _shown(row, shown)
        diff = self.taken_back(session, row)
        if row.state == State.IN_FORCE and not changes.tightens(diff):
            raise NotAllowed(
                "taking this back would open something, so it needs a request and a second person; ask for its reversal"
            )
        return self.put_in_force(book, row, diff, Act.REVERSE, by, {"signatures": [signer.sign("reverse", row.log, diff)]})

    def request_reversal(self, session: Session, row: ChangeRow, by: Person, reason: str) -> ChangeRow:
        """Ask that a change in force be taken back."""
        lifecycle.after(State(row.state), Act.REVERSE)
        _not_sealed(row)
        wish = ReverseWish(json.loads(row.diff), self.taken_back(session, row))
        return self.request(session, row.log, wish, by=by, reason=reason, reverses=row.id)

    def taken_back(self, session: Session, row: ChangeRow) -> Diff:
        """The diff by which a change is taken back as things stand now."""
        now = policy_of(self.book(session, row.log)).document.dictionary
        return list_service.taken_back(self, row.log, json.loads(row.diff), now)

    def _follow_reversal(self, session: Session, row: ChangeRow) -> None:
        if row.reverses is not None and (reversed_ := session.get(ChangeRow, row.reverses)):
            reversed_.state = lifecycle.after(State(reversed_.state), Act.REVERSE)

    def put_in_force(
        self,
        book: Book,
        row: ChangeRow,
        diff: Diff,
        act: Act,
        by: Person | None,
        rests_on: Mapping[str, Any],
        *,
        roles: Sequence[str] = (),
    ) -> State:
        """Entry and new policy in one transaction; the state that the change is now in."""
        state = lifecycle.after(State(row.state), act)
        document = changes.apply(policy_of(book).document, diff)
        text = write(document)
        standing.still_held(session_of(row), book, rests_on)
        n = book.append(
            ENTRY_KINDS[act],
            self.now(),
            change=row.id,
            diff=diff,
            requested_by=row.requested_by if act is not Act.REVERSE else None,
            by=by.id if by else row.requested_by if act in {Act.MANDATE, Act.UPDATE} else CONSOLE,
            by_roles=sorted(by.at(row.log)) if by else list(roles),
            rests_on=dict(rests_on),
            policy={"digest": digest(text)},
        )
        book.keep(n, text)
        row.entry = n
        self._decided(row, state, by)
        if book.tier == "authority":
            tiers.offer(self, session_of(row))
        return state

    def diff_of(self, row: ChangeRow) -> Diff:
        found: Diff = json.loads(row.diff)
        return found

    def _decided(self, row: ChangeRow, state: State, by: Person | None) -> None:
        row.state, row.decided_at, row.decided_by = state, self.now(), by.id if by else CONSOLE

    # --- standing mandates --------------------------------------------------------------------------------------------

    def sign_mandate(
        self,
        session: Session,
        log: str,
        by: Person,
        sign: Callable[[object], Mapping[str, object]],
        *,
        kinds: Sequence[str],
        roles: Sequence[str],
        until: datetime,
        ratify_days: int = 14,
        break_glass: bool = False,
    ) -> int:
        """The headteacher signs beforehand that these roles may make these kinds of change, to be ratified in time.

        `sign` makes her signature over the terms. `break_glass`: two of these roles together, also to open something.
        """
        terms = standing.mandate_terms(
            self, session, log, by, kinds=kinds, roles=roles, until=until, ratify_days=ratify_days, break_glass=break_glass
        )
        return standing.write(self, session, log, by, "mandate", terms, sign)

    def mandates(self, session: Session, log: str) -> list[Entry]:
        """The mandates in force, newest first."""
        return standing.mandates(self, session, log)

    def accept_list(
        self,
        session: Session,
        log: str,
        version: ListVersion,
        exceptions: int,
        *,
        by: Person | None,
        roles: Sequence[str] = (),
    ) -> Asked:
        """Take a list into a school's dictionary: at once under a mandate that covers it, else it waits for the head.

        `by` None is the machine's console, which acts with the `roles` given (the technician's).
        """
        return list_service.accept(self, session, log, [list_service.Taken(version, exceptions)], by=by, roles=roles)

    def ratify(self, session: Session, row: ChangeRow, by: Person, signer: Signs, shown: str) -> State:
        """The headteacher signs what a mandate let through."""
        book = self.book(session, row.log)
        state = lifecycle.after(State(row.state), Act.RATIFY)
        rests_on = self.standing_in(session, book, row, by, Permission.RATIFY)
        if rests_on and row.requested_by == by.id:
            raise NotAllowed("nobody ratifies what they did themselves")
        earlier = select(ChangeRow).where(
            ChangeRow.log == row.log,
            ChangeRow.state == State.PROVISIONAL,
            ChangeRow.entry < row.entry,
            ChangeRow.kind.in_(stacks_with(row.kind) - {"dictionary"}),
        )
        if first := session.scalars(earlier.order_by(ChangeRow.entry)).first():
            raise ValueError(f"change {first.id} came before this one; ratify or reverse that first")
        diff = _shown(row, shown)
        rests_on["signatures"] = [signer.sign("ratify", row.log, diff)]
        made = {"kind": ENTRY_KINDS[Act.RATIFY], "by": by.id, "at": instant(self.now()), "rests_on": rests_on}
        standing.borne_out(session, book, made, diff, row.kind)
        book.append(ENTRY_KINDS[Act.RATIFY], self.now(), change=row.id, by=by.id, of=row.entry, rests_on=rests_on)
        self._decided(row, state, by)
        return state

    def tick(self, session: Session) -> list[ChangeRow]:
        """What time alone does. Returns the changes that moved."""
        return passing.tick(self, session)

    # --- looking ------------------------------------------------------------------------------------------------------

    def detail(self, session: Session, change: int, part: str = "request") -> dict[str, str]:
        """The names and words of a change; empty once retention has deleted them."""
        row = session.get(DetailRow, (change, part))
        return dict(json.loads(row.text)) if row else {}

    def access(self, session: Session, act: str, outcome: str, **where: str) -> None:
        """One line of the access log."""
        session.add(AccessRow(at=self.now(), act=act, outcome=outcome, **{name: text[:200] for name, text in where.items()}))


def session_of(row: ChangeRow) -> Session:
    session = object_session(row)
    if session is None:
        raise RuntimeError("a change is put in force within its transaction")
    return session


def _not_sealed(row: ChangeRow) -> None:
    if row.kind == "sealed":
        raise NotAllowed("the sealed list of illegal content is replaced by a newer one, and never taken out")


def _shown(row: ChangeRow, shown: str) -> Diff:
    diff: Diff = json.loads(row.diff)
    if digest(canonical(diff)) != shown:
        raise ChangedSinceShown("this is no longer what was shown; read it once more")
    return diff
