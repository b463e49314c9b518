"""What stands beside single changes: who holds which role now, mandates, delegations, and acting at once under a mandate.

All of it is read from the log's entries, each proven to be in the tree; no table says who may do what. Each function takes a
session and never commits.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from change_control import lifecycle
from change_control.authority import (
    DELEGABLE,
    GLASS,
    GLASS_HOURS,
    PUPILS,
    TAKING_IN,
    TIGHTENING,
    NotAllowed,
    Permission,
    require,
)
from change_control.book import Book
from change_control.keys import Signs
from change_control.ledger import LedgerMismatch
from change_control.lifecycle import Act, State
from change_control.replay import PEOPLE, ended_by, signed_under
from change_control.tables import ChangeRow, EntryRow, RoleRow, SignatureRow
from policy.grounds import check_signatures, tightens
from policy.proof import Entry, ProofRefused, canonical, digest
from policy.rules import SchoolPolicy, instant

if TYPE_CHECKING:
    from change_control.service import Office, Person

type Sign = Callable[[object], Mapping[str, object]]

LONGEST = timedelta(days=366)


def entries(session: Session, book: Book, *kinds: str) -> list[Entry]:
    """All entries of some kinds, oldest first, each proven."""
    numbers = session.scalars(
        select(EntryRow.n).where(EntryRow.log == book.log, EntryRow.kind.in_(kinds)).order_by(EntryRow.n)
    )
    return book.entries(numbers)


# --- who holds which role -------------------------------------------------------------------------------------------------


def _people(session: Session, book: Book) -> tuple[list[Entry], set[int]]:
    """The entries about people, and the enrolments that have ended."""
    seen: list[Entry] = []
    ended: set[int] = set()
    for entry in entries(session, book, *PEOPLE):
        ended |= ended_by(entry, seen)
        seen.append(entry)
    return seen, ended


def ended(session: Session, book: Book) -> set[int]:
    """The enrolments that have ended."""
    return _people(session, book)[1]


def holding(session: Session, book: Book) -> dict[str, set[str]]:
    """Who holds which roles now, by the log itself."""
    seen, ended = _people(session, book)
    found: dict[str, set[str]] = {}
    for entry in seen:
        if entry["kind"] == "person.enrolled" and int(entry["n"]) not in ended:
            found.setdefault(str(entry["person"]), set()).update(entry["roles"])
    return found


def still_held(session: Session, book: Book, rests_on: Mapping[str, Any]) -> None:
    """LedgerMismatch when a signature was given under a role that has ended, whatever a table says of it."""
    if signed_under({"rests_on": rests_on}) & ended(session, book):
        raise LedgerMismatch(f"the change log of {book.log}: whoever signed this no longer holds the role there")


def borne_out(session: Session, book: Book, made: Entry, over: object, kind: str = "") -> None:
    """LedgerMismatch unless the log itself gives whoever signs an entry the right to: what the replay will ask of it."""
    entry = {"log": book.log, "tier": book.tier, "n": book.size, **made}
    try:
        still_held(session, book, entry["rests_on"])
        check_signatures(entry, entry["rests_on"]["signatures"], digest(canonical(over)), book.known(entry), kind=kind)
    except LedgerMismatch:
        raise
    except (ProofRefused, LookupError, TypeError, ValueError) as error:
        raise LedgerMismatch(f"the change log of {book.log} does not bear this out: {error}") from None


def release(office: "Office", session: Session, log: str, person: str, by: "Person", sign: Sign) -> None:
    """The headteacher ends a person's roles; what that person signed before stays signed."""
    book = office.book(session, log)
    require(by.at(log), Permission.RELEASE, tier=book.tier)
    if person == by.id:
        raise NotAllowed("nobody ends her own roles; the LA officer and a second person replace a headteacher")
    if person not in holding(session, book):
        raise LookupError("there is no such person here")
    terms = {"person": person}
    book.append(
        "person.released", office.now(), person=person, by=by.id, released=terms, rests_on={"signatures": [dict(sign(terms))]}
    )
    session.execute(delete(RoleRow).where(RoleRow.person == person, RoleRow.log == log))


# --- mandates and delegations ---------------------------------------------------------------------------------------------


def _open(session: Session, book: Book, now: datetime, signed: str, revoked: str, terms: str) -> list[Entry]:
    """Mandates or delegations in force now, newest first."""
    kinds = select(EntryRow.n).where(EntryRow.log == book.log, EntryRow.kind == signed).limit(1)
    if session.scalar(kinds) is None:
        return []
    gone = {int(entry["revoked"]["of"]) for entry in entries(session, book, revoked)}
    _, ended = _people(session, book)
    return [
        entry
        for entry in reversed(entries(session, book, signed))
        if entry["n"] not in gone
        and not signed_under(entry) & ended  # what a headteacher signed beforehand goes when she does
        and _from(entry[terms], "from") <= now < _from(entry[terms], "until")
    ]


def _from(terms: Mapping[str, str], name: str) -> datetime:
    return datetime.fromisoformat(terms[name])


def mandates(office: "Office", session: Session, log: str) -> list[Entry]:
    book = office.book(session, log)
    return _open(session, book, office.now(), "mandate.signed", "mandate.revoked", "mandate")


def delegations(office: "Office", session: Session, log: str, *, also_later: bool = False) -> list[Entry]:
    """Delegations in force, or (also_later) signed for a time to come."""
    book = office.book(session, log)
    found = _open(session, book, office.now(), "delegation.signed", "delegation.revoked", "delegation")
    if also_later:
        gone = {int(entry["revoked"]["of"]) for entry in entries(session, book, "delegation.revoked")}
        found += [
            entry
            for entry in entries(session, book, "delegation.signed")
            if entry["n"] not in gone and _from(entry["delegation"], "from") > office.now()
        ]
    return found


def delegation_of(office: "Office", session: Session, log: str, person: str, kind: str | None = None) -> int | None:
    """The delegation under which a person may approve changes of a kind now (None: of any kind)."""
    for entry in delegations(office, session, log):
        terms = entry["delegation"]
        if terms["person"] == person and (kind is None or kind in terms["kinds"]):
            return int(entry["n"])
    return None


def check_mandate(kinds: Sequence[str], roles: Sequence[str], *, break_glass: bool) -> None:
    """ValueError unless this can be mandated."""
    possible = GLASS if break_glass else TAKING_IN | TIGHTENING
    if not kinds or set(kinds) - possible:
        raise ValueError(f"a mandate of this sort can cover {', '.join(sorted(possible))}; nothing else")
    if not roles:
        raise ValueError("choose who may act under it")


type Terms = Mapping[str, Any]
SIGNED_BEFOREHAND = {  # the act that is signed: who may, the kind of entry, and where it holds the terms
    "mandate": (Permission.MANDATE, "mandate.signed", "mandate"),
    "delegate": (Permission.DELEGATE, "delegation.signed", "delegation"),
    "invite": (Permission.INVITE, "person.invited", "invite"),
}


def write(office: "Office", session: Session, log: str, by: "Person", act: str, terms: Terms, sign: Sign) -> int:
    """What the headteacher signs beforehand, in terms that were made (and checked) a moment ago; the number of the entry."""
    permission, kind, name = SIGNED_BEFOREHAND[act]
    book, now = office.book(session, log), office.now()
    require(by.at(log), permission, tier=book.tier)
    if "until" in terms and _from(terms, "until") <= now:
        raise ValueError("this has ended before it was signed")
    if any(entry[name] == terms for entry in entries(session, book, kind)):
        raise ValueError("exactly this is signed already")  # the same signature twice is no second mandate (replay.py)
    rests_on = {"signatures": [dict(sign(terms))]}
    borne_out(session, book, {"kind": kind, "by": by.id, "at": instant(now), "rests_on": rests_on}, terms)
    return book.append(kind, now, by=by.id, rests_on=rests_on, **{name: terms})


def mandate_terms(
    office: "Office",
    session: Session,
    log: str,
    by: "Person",
    *,
    kinds: Sequence[str],
    roles: Sequence[str],
    until: datetime,
    ratify_days: int = 14,
    break_glass: bool = False,
) -> Terms:
    """What a mandate would say."""
    require(by.at(log), Permission.MANDATE, tier=office.book(session, log).tier)
    check_mandate(kinds, roles, break_glass=break_glass)
    now = office.now()
    if not now < until <= now + LONGEST:
        raise ValueError("a mandate ends within a year")
    terms: dict[str, Any] = {
        "kinds": sorted(kinds),
        "roles": sorted(roles),
        "from": instant(now),
        "until": instant(until),
        "ratify_days": 1 if break_glass else ratify_days,
    }
    return {**terms, "break_glass": True} if break_glass else terms


def delegation_terms(
    office: "Office",
    session: Session,
    log: str,
    by: "Person",
    *,
    person: str,
    kinds: Sequence[str],
    starts: datetime,
    until: datetime,
    groups: Sequence[str] = (),
) -> Terms:
    """What a delegation would say: a named person approves, refuses and ratifies some kinds of change in her place.

    `groups`: whose requests from the block page this person looks at first, if not all.
    """
    book = office.book(session, log)
    require(by.at(log), Permission.DELEGATE, tier=book.tier)
    if person == by.id or person not in holding(session, book):
        raise ValueError("choose someone else who is enrolled here")
    if not kinds or set(kinds) - DELEGABLE - {PUPILS}:
        raise ValueError("choose what may be approved in your place")
    now = office.now()
    if not max(starts, now) < until <= now + LONGEST:
        raise ValueError("a delegation ends after it begins, in the future, and within a year")
    terms = {"person": person, "kinds": sorted(kinds), "from": instant(max(starts, now)), "until": instant(until)}
    return {**terms, "groups": _groups(book, kinds, groups)} if groups else terms


def _groups(book: Book, kinds: Sequence[str], groups: Sequence[str]) -> list[str]:
    """INVARIANT: groups narrow pupils' requests only. A worker that checks an approval looks at kinds and days alone."""
    if list(kinds) != [PUPILS]:
        raise ValueError("groups go with pupils’ requests alone: sign those by themselves")
    force = book.in_force()
    known = {group.id for group in force.document.groups} if force and isinstance(force.document, SchoolPolicy) else set()
    if unknown := set(groups) - known:
        raise ValueError(f"there is no group {min(unknown)} here")
    return sorted(set(groups))


def sign_delegation(
    office: "Office",
    session: Session,
    log: str,
    by: "Person",
    sign: Sign,
    *,
    person: str,
    kinds: Sequence[str],
    starts: datetime,
    until: datetime,
) -> int:
    """The headteacher lets a named person approve, refuse and ratify some kinds of change in her place, from and to a day."""
    terms = delegation_terms(office, session, log, by, person=person, kinds=kinds, starts=starts, until=until)
    return write(office, session, log, by, "delegate", terms, sign)


def revoke(office: "Office", session: Session, log: str, number: int, by: "Person", sign: Sign) -> None:
    """The headteacher ends a mandate or a delegation before its time. What was done under it stays, to be ratified or not."""
    book = office.book(session, log)
    require(by.at(log), Permission.MANDATE, tier=book.tier)
    known = [*mandates(office, session, log), *delegations(office, session, log, also_later=True)]
    entry = next((one for one in known if one["n"] == number), None)
    if entry is None:
        raise LookupError("there is no such mandate or delegation in force")
    terms = {"of": number}
    kind = str(entry["kind"]).replace(".signed", ".revoked")
    book.append(kind, office.now(), by=by.id, revoked=terms, rests_on={"signatures": [dict(sign(terms))]})


# --- at once, under a mandate ---------------------------------------------------------------------------------------------


def mandate_for(
    office: "Office", session: Session, log: str, roles: Iterable[str], kind: str, *, glass: bool
) -> Entry | None:
    """The mandate under which someone with these roles may act at once."""
    for entry in mandates(office, session, log):
        terms = entry["mandate"]
        if bool(terms.get("break_glass")) is glass and kind in terms["kinds"] and set(roles) & set(terms["roles"]):
            return entry
    return None


def tighten(office: "Office", session: Session, row: ChangeRow, by: "Person", signer: Signs) -> State:
    """What is proven to tighten takes effect at once under a mandate that names the role; unratified, it lapses."""
    book = office.book(session, row.log)
    require(by.at(row.log), Permission.TIGHTEN, tier=book.tier)
    lifecycle.after(State(row.state), Act.MANDATE)
    diff = json.loads(row.diff)
    if not tightens(diff):
        raise NotAllowed("this is not proven to block more, so it waits for the headteacher")
    mandate = mandate_for(office, session, row.log, by.at(row.log), row.kind, glass=False)
    if mandate is None or row.kind not in TIGHTENING:
        raise NotAllowed("no standing mandate lets you do this at once, so it waits for the headteacher")
    rests = {"mandate": mandate["n"], "signatures": [signer.sign("enforce", row.log, diff)]}
    state = office.put_in_force(book, row, diff, Act.MANDATE, by, rests)
    row.ratify_by = office.now() + timedelta(days=int(mandate["mandate"]["ratify_days"]))
    return state


def break_glass(office: "Office", session: Session, row: ChangeRow, by: "Person", signer: Signs) -> State:
    """In an emergency two people whom a mandate names put a change in force together; after 24 hours it reverts."""
    book = office.book(session, row.log)
    require(by.at(row.log), Permission.BREAK_GLASS, tier=book.tier)
    lifecycle.after(State(row.state), Act.MANDATE)
    mandate = mandate_for(office, session, row.log, by.at(row.log), row.kind, glass=True)
    if mandate is None:
        raise NotAllowed("no mandate lets you break the glass, so this waits for the headteacher")
    diff = json.loads(row.diff)
    session.merge(
        SignatureRow(change=row.id, person=by.id, at=office.now(), text=canonical(signer.sign("enforce", row.log, diff)))
    )
    session.flush()
    signatures = signatures_of(session, row, "enforce")
    if len({str(one["person"]) for one in signatures}) < 2:
        return State(row.state)
    rests = {"mandate": mandate["n"], "glass": True, "signatures": signatures}
    state = office.put_in_force(book, row, diff, Act.MANDATE, by, rests)
    row.ratify_by = office.now() + timedelta(hours=GLASS_HOURS)
    return state


def signatures_of(session: Session, row: ChangeRow, act: str) -> list[Mapping[str, object]]:
    """The signatures given to a change for one act, while it waits for another."""
    texts = session.scalars(
        select(SignatureRow.text).where(SignatureRow.change == row.id).order_by(SignatureRow.at, SignatureRow.person)
    )
    return [one for one in map(json.loads, texts.all()) if one["act"] == act]


def broken_glass(session: Session, log: str) -> list[ChangeRow]:
    """What is in force by broken glass just now: every page says so."""
    rows = session.scalars(select(ChangeRow).where(ChangeRow.log == log, ChangeRow.state == State.PROVISIONAL)).all()
    texts = {row.id: session.get(EntryRow, (log, row.entry)) for row in rows}
    return [row for row in rows if (text := texts[row.id]) and json.loads(text.text)["rests_on"].get("glass")]
