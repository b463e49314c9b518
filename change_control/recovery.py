"""Back in without a back door: two people whom she named herself, and the LA officer, sign that a lost phone is replaced.

She names them while she can still sign. Each of the three signs at the desk, in the change log; with the third signature a
recovery code comes into being, shown once, which is good for nothing without her own password. Nobody at the machine, and no
two of them, can let anyone in. Functions take a session and never commit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from change_control import standing
from change_control.authority import NotAllowed
from change_control.book import Book
from change_control.passkeys import Passkeys
from change_control.service import Person
from policy.proof import Entry
from policy.rules import instant

NAMED, AGREED, GRANTED = "recovery.named", "recovery.agreed", "recovery.granted"
PEOPLE = 2
HOLDS = timedelta(days=3)  # how long a signature waits for the others
OFFICER = "la_officer"

type Sign = Callable[[object], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Case:
    """Someone whom a visitor may help back in, and who has signed for it."""

    person: str
    signed: tuple[str, ...]
    mine: bool


def named(session: Session, book: Book, person: str) -> tuple[str, ...]:
    """Whom a person named, of those who still hold a role here."""
    own = [entry for entry in standing.entries(session, book, NAMED) if entry["person"] == person]
    holding = standing.holding(session, book)
    return tuple(one for one in own[-1]["named"]["people"] if one in holding) if own else ()


def name(passkeys: Passkeys, session: Session, log: str, by: Person, people: Sequence[str], sign: Sign) -> None:
    """She names the two who can help her back in; naming others replaces them."""
    book = passkeys.registry.office.book(session, log)
    holding = standing.holding(session, book)
    chosen = sorted(set(people))
    if len(chosen) != PEOPLE or by.id in chosen or any(one not in holding for one in chosen):
        raise ValueError("choose two people here, other than yourself")
    if any(OFFICER in holding[one] for one in chosen):
        raise ValueError("the LA officer signs in any case; choose two others")
    terms = {"people": chosen}
    rests = {"signatures": [dict(sign(terms))]}
    book.append(NAMED, passkeys.registry.office.now(), person=by.id, named=terms, rests_on=rests)


def _since(session: Session, book: Book, person: str, now: datetime) -> list[Entry]:
    """The signatures for a person that still count."""
    ended = [
        int(entry["n"])
        for entry in standing.entries(session, book, GRANTED, NAMED, "person.recovered")
        if (entry["granted"]["person"] if entry["kind"] == GRANTED else entry["person"]) == person
    ]
    least = instant(now - HOLDS)
    return [
        entry
        for entry in standing.entries(session, book, AGREED)
        if entry["agreed"]["person"] == person and entry["n"] > max(ended, default=-1) and entry["at"] >= least
    ]


def cases(passkeys: Passkeys, session: Session, log: str, by: Person) -> list[Case]:
    """Whom this visitor could help back in."""
    book = passkeys.registry.office.book(session, log)
    found = []
    for person in standing.holding(session, book):
        helpers = named(session, book, person)
        if person == by.id or len(helpers) < PEOPLE or not (by.id in helpers or OFFICER in by.at(log)):
            continue
        signed = tuple(dict.fromkeys(str(entry["person"]) for entry in _since(session, book, person, _now(passkeys))))
        found.append(Case(person, signed, by.id in signed))
    return found


def _now(passkeys: Passkeys) -> datetime:
    return passkeys.registry.office.now()


def agree(passkeys: Passkeys, session: Session, log: str, person: str, by: Person, sign: Sign) -> str:
    """Sign that a person needs a new phone. The code, once all three have signed; until then ""."""
    book = passkeys.registry.office.book(session, log)
    helpers = named(session, book, person)
    if len(helpers) < PEOPLE:
        raise NotAllowed(
            "she named nobody who could help her; a headteacher is replaced by the LA officer and a second person"
        )
    if person == by.id or not (by.id in helpers or OFFICER in by.at(log)):
        raise NotAllowed("only the two whom she named and the LA officer may sign this")
    before = {str(entry["person"]) for entry in _since(session, book, person, _now(passkeys))}
    if by.id in before:
        raise NotAllowed("you have signed this already; it waits for the others")
    terms = {"person": person}
    book.append(AGREED, _now(passkeys), person=by.id, agreed=terms, rests_on={"signatures": [dict(sign(terms))]})
    signed = before | {by.id}
    officers = {one for one, roles in standing.holding(session, book).items() if OFFICER in roles}
    if not set(helpers) <= signed or not (signed - set(helpers)) & officers:
        return ""
    book.append(GRANTED, _now(passkeys), granted={"person": person}, by=by.id)
    return passkeys.one_code(session, person)
