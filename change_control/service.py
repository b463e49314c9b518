"""What people do with changes. Each function takes a session and never commits: the record and the change are one.

Read with `lifecycle.py` (which acts are possible when) and `authority.py` (who may do them).
"""

import json
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, object_session

from category_lists.lists import ListVersion
from category_lists.taxonomy import Taxonomy
from change_control import access, changes, lifecycle, list_service, standing, tiers
from change_control.authority import NotAllowed, Permission, may, require, stacks_with
from change_control.book import Book, InForce
from change_control.changes import DefaultsWish, Diff, ReverseWish, SiteWish, Wish
from change_control.dictionaries import Dictionaries
from change_control.keys import AuthorityKey, Signs
from change_control.lifecycle import ENTRY_KINDS, Act, State
from change_control.people_wishes import SuspensionWish
from change_control.school_wishes import HeadWish
from change_control.site_wishes import PlatformWish
from change_control.tables import AccessRow, ChangeRow, DetailRow, LogRow, SignatureRow
from policy.proof import SECOND_ROLES, TWO_PERSON_KINDS, Entry, canonical, digest
from policy.rules import Action, AuthorityPolicy, SchoolPolicy, instant, write

LONGEST = timedelta(days=366)  # no exception without an end, and none that outlives a school year
USUAL = timedelta(days=28)
LONGEST_SUSPENSION = timedelta(weeks=6)  # a sanction, and not a way to take the internet from someone for good
HEAD = "head"  # the kind of change by which a school gets another headteacher
CONSOLE = "console"  # the machine's own command line
BLOCK_PAGE = "block-page"
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

    # --- founding -----------------------------------------------------------------------------------------------------

    def found_authority(self, session: Session, document: AuthorityPolicy) -> None:
        """Begin the authority's own log with its policy."""
        self._found(session, document, "authority")

    def found_school(self, session: Session, document: SchoolPolicy) -> None:
        """Begin a school's log with what is usual at each age; from here on every change needs its headteacher."""
        force = self.book(session, self.key.authority).in_force()
        if force is None or digest(force.text) != document.authority:
            raise ValueError("a school begins with its authority's rules as they stand")
        self._found(session, document, "school")

    def _found(self, session: Session, document: AuthorityPolicy | SchoolPolicy, tier: str) -> None:
        if session.get(LogRow, document.log):
            raise ValueError(f"{document.log} is here already")
        session.add(LogRow(id=document.log, tier=tier, name=document.name, size=0, checkpoint=""))
        session.flush()
        book = self.book(session, document.log)
        text = write(document)
        n = book.append(
            "log.founded",
            self.now(),
            diff=changes.founding(document),
            by=CONSOLE,
            rests_on={"founding": True},
            policy={"digest": digest(text)},
        )
        book.keep(n, text)

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
        own_head = _asked_by_head(session, book, row)
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
        if row.kind == HEAD and not _officer_and_second(session, book, signatures):
            return State(row.state)
        if row.kind != HEAD and two and not _both(session, book, row, signatures=signatures):
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
        if number is None or _asked_by_head(session, book, row):
            require(by.at(row.log), permission, tier=book.tier)
        return {"delegation": number}

    def refuse(self, session: Session, row: ChangeRow, by: Person, reason: str) -> State:
        """The headteacher says no, with a reason that the requester gets."""
        book = self.book(session, row.log)
        if row.kind == HEAD:
            require(by.at(row.log), Permission.REPLACE_HEAD)
        else:
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
        book = self.book(session, log)
        require(by.at(log), Permission.MANDATE, tier=book.tier)
        standing.check_mandate(kinds, roles, break_glass=break_glass)
        now = self.now()
        if not now < until <= now + LONGEST:
            raise ValueError("a mandate ends within a year")
        terms: dict[str, Any] = {
            "kinds": sorted(kinds),
            "roles": sorted(roles),
            "from": instant(now),
            "until": instant(until),
            "ratify_days": 1 if break_glass else ratify_days,
        }
        if break_glass:
            terms["break_glass"] = True
        return book.append("mandate.signed", now, mandate=terms, by=by.id, rests_on={"signatures": [dict(sign(terms))]})

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

    def propose_defaults(self, session: Session, log: str, version: str) -> ChangeRow | None:
        """An upgrade brings new starter lists or categories: they are proposed, never just there. None: nothing is new.

        Proposed once: what the headteacher refused stays refused until the product brings something else.
        """
        now = policy_of(self.book(session, log)).document.dictionary
        wanted = self.dictionaries.with_defaults(now)
        if wanted == now:
            return None
        return self.request(
            session,
            log,
            DefaultsWish(wanted, version),
            by=None,
            reason=f"Schoolgate was brought to version {version}",
            source=CONSOLE,
            asker="the update",
            reference=f"defaults-{log}-{wanted[:16]}",
        )

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
        book.append(ENTRY_KINDS[Act.RATIFY], self.now(), change=row.id, by=by.id, of=row.entry, rests_on=rests_on)
        self._decided(row, state, by)
        return state

    def tick(self, session: Session) -> list[ChangeRow]:
        """What time alone does: unratified changes lapse (the newest first), ended ones are marked, and the access log of
        each day that is over gets its digest into the change log. Returns the changes that moved.
        """
        now = self.now()
        for log in session.scalars(select(LogRow.id)).all():
            access.write_digests(session, self.book(session, log), now)
        moved = self.lapsing(session)
        for row in moved:
            self._lapse(session, row)
        ended = select(ChangeRow).where(ChangeRow.state == State.IN_FORCE, ChangeRow.until <= now)
        for row in session.scalars(ended).all():
            self.note(session, self.book(session, row.log), row, Act.EXPIRE, None, "")
            moved.append(row)
        return moved

    def lapsing(self, session: Session) -> list[ChangeRow]:
        """What lapses now, in the order in which it does."""
        found: list[ChangeRow] = []
        due = select(ChangeRow).where(ChangeRow.state == State.PROVISIONAL, ChangeRow.ratify_by <= self.now())
        for first in session.scalars(due.order_by(ChangeRow.entry)).all():
            if first in found:
                continue  # it goes back with one before it
            stacked = select(ChangeRow).where(
                ChangeRow.log == first.log,
                ChangeRow.state == State.PROVISIONAL,
                ChangeRow.entry >= first.entry,
                (ChangeRow.id == first.id) | ChangeRow.kind.in_(stacks_with(first.kind)),
            )
            found += [
                row
                for row in session.scalars(stacked.order_by(ChangeRow.entry.desc())).all()
                if row not in found and _stands_on(row, first)
            ]
        return found

    def daily(self, session: Session) -> int:
        """The access log of each day that is over gets its digest into the change log. Returns how many were written."""
        logs = session.scalars(select(LogRow.id)).all()
        return sum(access.write_digests(session, self.book(session, log), self.now()) for log in logs)

    def _lapse(self, session: Session, row: ChangeRow) -> None:
        book = self.book(session, row.log)
        if row.entry is None:
            return
        let_through = book.entry(row.entry)
        rests_on = {"mandate": let_through["rests_on"]["mandate"], "of": row.entry}
        self.put_in_force(book, row, self.taken_back(session, row), Act.LAPSE, None, rests_on)

    # --- looking ------------------------------------------------------------------------------------------------------

    def detail(self, session: Session, change: int, part: str = "request") -> dict[str, str]:
        """The names and words of a change; empty once retention has deleted them."""
        row = session.get(DetailRow, (change, part))
        return dict(json.loads(row.text)) if row else {}

    def access(self, session: Session, act: str, outcome: str, **where: str) -> None:
        """One line of the access log."""
        session.add(AccessRow(at=self.now(), act=act, outcome=outcome, **{name: text[:200] for name, text in where.items()}))


def _stands_on(row: ChangeRow, first: ChangeRow) -> bool:
    """Does a change go back with an earlier one? The authority's rules do; lists only if both speak of the same list."""
    if row.id == first.id or row.kind != "dictionary":
        return True
    named, before = ({one["id"] for one in json.loads(each.diff).get("lists", ())} for each in (row, first))
    return not named.isdisjoint(before)


def session_of(row: ChangeRow) -> Session:
    session = object_session(row)
    if session is None:
        raise RuntimeError("a change is put in force within its transaction")
    return session


def _not_sealed(row: ChangeRow) -> None:
    if row.kind == "sealed":
        raise NotAllowed("the sealed list of illegal content is replaced by a newer one, and never taken out")


def policy_of(book: Book) -> InForce:
    force = book.in_force()
    if force is None:
        raise LookupError(f"{book.log} has no policy yet")
    return force


def enrolled(session: Session, book: Book, role: str) -> set[str]:
    """Who holds a role in a log now, by the log itself."""
    return {person for person, roles in standing.holding(session, book).items() if role in roles}


def _asked_by_head(session: Session, book: Book, row: ChangeRow) -> bool:
    heads = enrolled(session, book, "la_officer" if book.tier == "authority" else "headteacher")
    return row.requested_by in heads


def _both(session: Session, book: Book, row: ChangeRow, *, signatures: Sequence[Mapping[str, Any]]) -> bool:
    signed = {str(signature["person"]) for signature in signatures}
    heads = enrolled(session, book, "la_officer" if book.tier == "authority" else "headteacher") & signed
    seconds = {person for role in SECOND_ROLES for person in enrolled(session, book, role)} & signed
    first = heads & {row.requested_by} or (heads if row.kind in TWO_PERSON_KINDS else set())
    return any(seconds - {head} for head in first)


def _officer_and_second(session: Session, book: Book, signatures: Sequence[Mapping[str, Any]]) -> bool:
    """The LA officer has signed, and someone else who may stand second."""
    signed = {str(signature["person"]) for signature in signatures}
    officers = enrolled(session, book, "la_officer")
    seconds = {person for role in SECOND_ROLES for person in enrolled(session, book, role)}
    return bool(signed & officers) and len(signed & seconds) > 1


def _shown(row: ChangeRow, shown: str) -> Diff:
    diff: Diff = json.loads(row.diff)
    if digest(canonical(diff)) != shown:
        raise ChangedSinceShown("this is no longer what was shown; read it once more")
    return diff


def bounded(wish: Wish, now: datetime) -> Wish:
    """No exception without an end: an allow that names none ends after four weeks, and none may outlive a year."""
    if isinstance(wish, SiteWish) and wish.action is not Action.BLOCK:
        until = wish.until or now + USUAL
        if not now < until <= now + LONGEST:
            raise ValueError("the end must lie in the future, and within a year")
        return replace(wish, until=until.replace(microsecond=0))
    if isinstance(wish, PlatformWish) and not now < wish.until <= now + LONGEST:
        raise ValueError("the end must lie in the future, and within a year")
    if isinstance(wish, SuspensionWish):
        if not now < wish.until <= now + LONGEST_SUSPENSION:
            raise ValueError("a suspension ends within six weeks, and not in the past")
        return replace(wish, until=wish.until.replace(microsecond=0))
    return wish
