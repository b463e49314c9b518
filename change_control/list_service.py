"""What people and feeds do with lists: taking them in, subscriptions, corrections, the sealed list.

Functions beside `Office`, which hands itself in; each takes a session and never commits. Compiling takes seconds, and a
transaction holds a lock: call `prepare` first, outside of it, and the dictionary is made already.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from category_lists import lists
from category_lists.catalogue import Feed
from category_lists.compare import compare
from category_lists.corrections import corrected, is_correction
from category_lists.lists import ListVersion
from category_lists.names import canonical_site
from category_lists.sealed import Bundle
from category_lists.taxonomy import Taxonomy
from category_lists.weigh import curated, vouches
from change_control import passing, standing
from change_control.book import CONSOLE, policy_of
from change_control.changes import DefaultsWish, Diff, ListChange, ListsWish
from change_control.dictionaries import covered_by_mandate
from change_control.lifecycle import Act, State
from change_control.list_wishes import RecategoriseWish, SealedWish, SubscriptionWish, role
from change_control.replay import signed_under
from change_control.store import Store
from change_control.tables import ChangeRow, SignatureRow
from policy.bounds import outside
from policy.grounds import terms_of, undone
from policy.proof import Entry, canonical
from policy.rules import Dictionary, ListRef, instant

if TYPE_CHECKING:
    from change_control.service import Asked, Office, Person

YEAR = timedelta(days=365)
ABOUT_LISTS = frozenset({"dictionary", "defaults", "recategorise", "sealed"})  # kinds that set the dictionary


@dataclass(frozen=True, slots=True)
class Taken:
    """A kept list, and what was noticed when it was read."""

    version: ListVersion
    exceptions: int = 0


def list_changes(office: "Office", dictionary: str, taken: Sequence[Taken]) -> tuple[ListChange, ...]:
    """What becomes of each list, against the version of it that is in force."""
    before = {ref.id: ref for ref in office.dictionaries.named(dictionary).lists}
    return tuple(_list_change(office, before.get(one.version.id), one) for one in taken)


def _list_change(office: "Office", old: ListRef | None, one: Taken) -> ListChange:
    version, exceptions = one.version, one.exceptions
    named = ListChange(version.id, version.category, version.version, version.digest, version.entries, exceptions=exceptions)
    if old is None:
        return replace(named, added=version.entries)
    _, old_path = lists.find(office.dictionaries.lists, version.id, old.digest)
    _, new_path = lists.find(office.dictionaries.lists, version.id, version.digest)
    found = compare(old_path, new_path)
    return replace(named, before=found.before, added=found.added, removed=found.removed)


def fresh(office: "Office", dictionary: str, taken: Sequence[Taken]) -> list[Taken]:
    """Those that are not in force as they are."""
    known = {(ref.id, ref.digest, ref.category) for ref in office.dictionaries.named(dictionary).lists}
    return [one for one in taken if (one.version.id, one.version.digest, one.version.category) not in known]


def prepare(office: "Office", dictionary: str, taken: Sequence[Taken], progress: Callable[[int], None] | None = None) -> None:
    """Compile what `accept` will name, before the transaction in which it does."""
    for some in _sorted_by_mandate(office, dictionary, taken):
        if some:
            dictionary = office.dictionaries.with_lists(dictionary, [one.version for one in some], progress)


def _sorted_by_mandate(office: "Office", dictionary: str, taken: Sequence[Taken]) -> tuple[list[Taken], list[Taken]]:
    taxonomy = office.dictionaries.taxonomy(dictionary)
    free: list[Taken] = []
    waits: list[Taken] = []
    for one in fresh(office, dictionary, taken):
        (waits if _uncovered(taxonomy, one) else free).append(one)
    return free, waits


def _uncovered(taxonomy: Taxonomy, one: Taken, *, vouched: bool = False) -> str:
    """Why a list waits for the headteacher whatever was mandated; `vouched`: she signed already that it vouches."""
    if curated(one.version.id) or is_correction(one.version.id):
        return f"the list {one.version.id} would stand above every other list, so it waits for the headteacher"
    category, opens = taxonomy.categories[one.version.category], vouches(one.version.id) and not vouched
    return covered_by_mandate(category, taxonomy.unknown, one.exceptions, vouches=opens)


def accept_all(
    office: "Office", session: Session, log: str, taken: Sequence[Taken], *, by: "Person | None", roles: Sequence[str]
) -> "list[Asked]":
    """Take many lists in as one change; those that wait for the headteacher whatever was mandated are one of their own."""
    dictionary = policy_of(office.book(session, log)).document.dictionary
    parts = _sorted_by_mandate(office, dictionary, taken)
    return [accept(office, session, log, some, by=by, roles=roles) for some in parts if some]


def accept(
    office: "Office",
    session: Session,
    log: str,
    taken: Sequence[Taken],
    *,
    by: "Person | None",
    roles: Sequence[str] = (),
    feed: Feed | None = None,
) -> "Asked":
    """Take lists into a school's dictionary: at once under a mandate that covers them, else they wait for the head.

    `by` None is the machine's console, or a feed, which acts with the `roles` given.
    """
    from change_control.service import Asked

    book = office.book(session, log)
    force = policy_of(book)
    wanted = office.dictionaries.with_lists(force.document.dictionary, [one.version for one in taken])
    told = list_changes(office, force.document.dictionary, taken)
    held = frozenset(roles) if by is None else by.at(log)
    mandate = mandate_for(office, session, log, held)
    why_not = _why_not(office, force.document.dictionary, taken, told, mandate)
    source = f"feed:{feed.id}" if feed else CONSOLE if by is None else "desk"
    row = office.request(
        session,
        log,
        ListsWish(wanted, told, feed.id if feed else ""),
        by=by,
        reason=_reason(told, feed, why_not),
        source=source,
        asker=feed.name if feed else "the console",
        reference=f"{source}-{log}-{wanted[:16]}" if feed else None,
    )
    if row.state != State.REQUESTED:  # the same update, handed over twice
        return Asked(row, in_force=row.state in {State.PROVISIONAL, State.IN_FORCE}, waits_because="it was refused")
    if why_not or mandate is None:
        return Asked(row, in_force=False, waits_because=why_not or "no standing mandate covers it")
    diff = json.loads(row.diff)
    if "ratify_days" not in _terms(mandate):  # a subscription: its signature is all that an update within its bounds needs
        office.put_in_force(book, row, diff, Act.UPDATE, by, {"subscription": mandate["n"]}, roles=sorted(held))
        return Asked(row, in_force=True)
    office.put_in_force(book, row, diff, Act.MANDATE, by, {"mandate": mandate["n"]}, roles=sorted(held))
    row.ratify_by = office.now() + timedelta(days=int(_terms(mandate)["ratify_days"]))
    return Asked(row, in_force=True)


def _why_not(
    office: "Office", dictionary: str, taken: Sequence[Taken], told: Sequence[ListChange], mandate: Entry | None
) -> str:
    taxonomy = office.dictionaries.taxonomy(dictionary)
    bounds = (_terms(mandate).get("bounds") or {}) if mandate else {}
    vouched = bounds.get("vouches") is True  # she signed a subscription that says so
    for one in taken:
        if why := _uncovered(taxonomy, one, vouched=vouched):
            return why
    if bounds:
        return "; ".join(outside([asdict(one) for one in told], bounds)[:5])
    return ""


def _reason(told: Sequence[ListChange], feed: Feed | None, why_not: str) -> str:
    named = ", ".join(f"{one.id} {one.version}" for one in told[:10]) + (
        f" and {len(told) - 10} more" if len(told) > 10 else ""
    )
    if not feed:
        return f"{'list' if len(told) == 1 else 'lists'} {named}"
    said = f"an update of {feed.name}: {named}"
    return f"{said}. It goes beyond the subscription's bounds: {why_not}" if why_not else said


def _terms(entry: Entry) -> Entry:
    return terms_of(entry) or {}


def mandate_for(office: "Office", session: Session, log: str, held: frozenset[str]) -> Entry | None:
    """What lets these roles take lists in at once: a standing mandate, or a subscription that nobody took back."""
    signed = standing.mandate_for(office, session, log, held, "dictionary", glass=False)
    return signed or next(
        (entry for _, entry in subscriptions(office, session, log) if held & set(_terms(entry)["roles"])), None
    )


# --- subscriptions ----------------------------------------------------------------------------------------------------


def subscribe(
    office: "Office", session: Session, log: str, feed: Feed, *, by: "Person | None", reason: str, days: int = 365
) -> ChangeRow:
    """Ask for a subscription: approved, the feed's updates take effect by themselves within the bounds."""
    if any(_terms(entry)["feed"]["id"] == feed.id for _, entry in subscriptions(office, session, log)):
        raise ValueError(f"there is a subscription to {feed.name} already")
    waiting = select(ChangeRow).where(
        ChangeRow.log == log, ChangeRow.kind == "subscription", ChangeRow.state == State.REQUESTED
    )
    for row in session.scalars(waiting):
        if json.loads(row.diff)["terms"]["feed"]["id"] == feed.id:
            raise ValueError(f"change {row.id} asks for a subscription to {feed.name} already")
    now = office.now()
    if not 1 <= days <= YEAR.days:
        raise ValueError("a subscription lasts from a day to a year")
    wish = SubscriptionWish(feed, now, now + timedelta(days=days), feed.bounds)
    return office.request(session, log, wish, by=by, reason=reason, source="desk" if by else "console", asker="the console")


def subscriptions(office: "Office", session: Session, log: str) -> list[tuple[ChangeRow, Entry]]:
    """The subscriptions in force in a log, each with the entry that approved it."""
    now = instant(office.now())
    book = office.book(session, log)
    rows = session.scalars(
        select(ChangeRow)
        .where(ChangeRow.log == log, ChangeRow.kind == "subscription", ChangeRow.state == State.IN_FORCE)
        .order_by(ChangeRow.id)
    )
    found = [(row, book.entry(row.entry)) for row in rows if row.entry is not None]
    if not found:
        return []
    gone = standing.ended(session, book)  # what a headteacher signed beforehand goes when she does
    return [
        (row, entry)
        for row, entry in found
        if _terms(entry)["from"] <= now < _terms(entry)["until"] and not signed_under(entry) & gone
    ]


def subscribed(office: "Office", session: Session, log: str) -> set[str]:
    """The ids of the feeds that a log is subscribed to."""
    return {str(_terms(entry)["feed"]["id"]) for _, entry in subscriptions(office, session, log)}


def update(office: "Office", session: Session, log: str, feed: Feed, taken: Sequence[Taken]) -> "Asked | None":
    """What a feed brought, for one log that is subscribed to it. None: it is in force as it is.

    An older update of the same feed that still waits is withdrawn: the newer one holds what it held.
    """
    dictionary = policy_of(office.book(session, log)).document.dictionary
    some = fresh(office, dictionary, taken)
    if not some:
        return None
    asked = accept(office, session, log, some, by=None, roles=(role(feed.id),), feed=feed)
    waiting = select(ChangeRow).where(
        ChangeRow.log == log,
        ChangeRow.state == State.REQUESTED,
        ChangeRow.requested_by == f"feed:{feed.id}",
        ChangeRow.id < asked.change.id,
    )
    for row in session.scalars(waiting).all():
        office.note(session, office.book(session, log), row, Act.WITHDRAW, None, "")
    return asked


# --- requests whose ground has moved ----------------------------------------------------------------------------------


def moved(office: "Office", session: Session, log: str) -> Iterator[tuple[ChangeRow, Diff]]:
    """Waiting requests about lists that were made on another dictionary than the one in force, each with what it
    now comes to. A feed's daily update must not make every other request impossible to approve.
    """
    now = policy_of(office.book(session, log)).document.dictionary
    for row in stale(session, log, now):
        yield row, _again(office, session, row, now)


def stale(session: Session, log: str, now: str) -> list[ChangeRow]:
    """Waiting requests about lists that were made on another dictionary than the one in force."""
    waiting = select(ChangeRow).where(
        ChangeRow.log == log, ChangeRow.state == State.REQUESTED, ChangeRow.kind.in_({*ABOUT_LISTS, "reverse"} - {"defaults"})
    )
    rows = session.scalars(waiting.order_by(ChangeRow.id)).all()
    return [row for row in rows if json.loads(row.diff)["set"].get("dictionary", [now])[0] != now]


def _again(office: "Office", session: Session, row: ChangeRow, dictionary: str) -> Diff:
    """A request about lists as it would be made on this dictionary."""
    diff: Diff = json.loads(row.diff)
    match diff["kind"]:
        case "reverse":
            first = session.get_one(ChangeRow, row.reverses)
            return taken_back(office, row.log, json.loads(first.diff), dictionary)
        case "recategorise":
            wanted = _corrected(office, row.log, dictionary, diff["site"], diff["category"])
        case "sealed":
            wanted = office.dictionaries.with_sealed(dictionary, diff["sealed"]["digest"])
        case _:
            found = [lists.find(office.dictionaries.lists, one["id"], one["digest"])[0] for one in diff.get("lists", ())]
            wanted = office.dictionaries.with_lists(dictionary, found)
    return {**diff, "set": {"dictionary": [dictionary, wanted]}}


def taken_back(office: "Office", log: str, diff: Diff, now: str) -> Diff:
    """The diff by which a change is taken back while the dictionary `now` is in force.

    While nothing has come after it, that is the change undone. Otherwise the dictionary is rebuilt without it, and the diff
    carries what proves so (policy/rebuild.py). A correction shares its list with other corrections, so its site alone goes.
    """
    back = undone(diff)
    if "dictionary" not in diff["set"] or diff["set"]["dictionary"][1] == now:
        return back
    before, after = diff["set"]["dictionary"]
    if diff["kind"] == "recategorise":
        wanted = _corrected(office, log, now, diff["site"], None)
        return {**back, "set": {"dictionary": [now, wanted]}, "site": diff["site"]}
    wanted = office.dictionaries.rebuilt(before, after, now)
    named = {each: office.dictionaries.objects.text(each) for each in (before, after, now, wanted)}
    return {**back, "set": {"dictionary": [now, wanted]}, "dictionaries": named}


def prepare_lapses(office: "Office", session: Session) -> None:
    """Compile what `tick` will name, before the transaction in which it does."""
    now: dict[str, str] = {}
    for row in passing.lapsing(office, session):
        force = now.get(row.log) or policy_of(office.book(session, row.log)).document.dictionary
        back = taken_back(office, row.log, json.loads(row.diff), force)
        now[row.log] = back["set"].get("dictionary", (force, force))[1]


def renew(office: "Office", session: Session, log: str) -> list[ChangeRow]:
    """Bring waiting requests about lists onto the dictionary in force. Signatures given to the old text are void."""
    renewed = []
    for row, fresh_diff in moved(office, session, log):
        ground, wanted = fresh_diff["set"]["dictionary"]
        if wanted == ground:
            office.note(session, office.book(session, log), row, Act.WITHDRAW, None, "")
            continue
        row.diff = canonical(fresh_diff)
        session.execute(delete(SignatureRow).where(SignatureRow.change == row.id))
        office.book(session, log).append("change.renewed", office.now(), change=row.id, diff=fresh_diff)
        renewed.append(row)
    return renewed


# --- corrections and the sealed list ----------------------------------------------------------------------------------


def recategorise(
    office: "Office", session: Session, log: str, site: str, category: str, *, by: "Person", reason: str
) -> ChangeRow:
    """Ask that a school counts a site as something else, whatever lists say. `category` "": as nothing."""
    force = policy_of(office.book(session, log))
    taxonomy = office.taxonomy(force)
    named = canonical_site(site)
    text = named.host + (named.path or "").rstrip("/")
    known = taxonomy.categories.get(category)
    if category and (known is None or known.locked or known.essential):
        raise ValueError("a site can be put in any category but the locked and the essential ones")
    if office.dictionaries.protected_name(force.document.dictionary, named.host):
        raise ValueError(f"{text} is an essential site and stays one")
    wanted = _corrected(office, log, force.document.dictionary, text, category)
    says = office.dictionaries.objects.dictionary(force.document.dictionary).index.find(named.host, named.path)
    others = tuple(dict.fromkeys(one.list_id for one in says if one.category != category and not is_correction(one.list_id)))
    agree = tuple(dict.fromkeys(one.list_id for one in says if one.category == category))
    return office.request(session, log, RecategoriseWish(wanted, text, category, others, agree), by=by, reason=reason)


def _corrected(office: "Office", log: str, dictionary: str, site: str, category: str | None) -> str:
    named = office.dictionaries.named(dictionary)
    mine = [ref for ref in named.lists if is_correction(ref.id)]
    paths = {ref.id: lists.find(office.dictionaries.lists, ref.id, ref.digest) for ref in mine}
    gone, versions = corrected(office.dictionaries.lists, paths, log, site, category, at=office.now())
    return office.dictionaries.without_lists(dictionary, gone, versions)


def request_sealed(office: "Office", session: Session, log: str, bundle: Bundle) -> ChangeRow:
    """Ask that a log's schools refuse what a sealed bundle holds. The headteacher and a second person sign it."""
    dictionary = policy_of(office.book(session, log)).document.dictionary
    wish = SealedWish(office.dictionaries.with_sealed(dictionary, bundle.digest), bundle)
    reason = f"the sealed list of {bundle.issuer} of {bundle.issued}"
    return office.request(session, log, wish, by=None, reason=reason, source=CONSOLE, asker="the console")


def prepare_recategorise(office: "Office", store: Store, log: str, site: str, category: str) -> None:
    """Compile what `recategorise` will name, before the transaction in which it does."""
    named = canonical_site(site)
    with store.read() as session:
        force = office.book(session, log).in_force()
    if force and (not category or category in office.taxonomy(force).categories):
        _corrected(office, log, force.document.dictionary, named.host + (named.path or "").rstrip("/"), category)


BROUGHT = {
    "lists": "the starter lists",
    "taxonomy": "the categories",
    "engines": "the list of search engines",
    "phrases": "the phrases and examples by which words are judged",
    "model": "the examples of harmful names",
}


def brought(before: Dictionary, after: Dictionary) -> tuple[str, ...]:
    """What differs between two dictionaries, for the headteacher who signs."""
    return tuple(said for part, said in BROUGHT.items() if getattr(before, part) != getattr(after, part))


def propose_defaults(office: "Office", session: Session, log: str, version: str) -> ChangeRow | None:
    """An upgrade brings new starter lists or categories: they are proposed, never just there. None: nothing is new.

    Proposed once: what the headteacher refused stays refused until the product brings something else.
    """
    now = policy_of(office.book(session, log)).document.dictionary
    wanted = office.dictionaries.with_defaults(now)
    if wanted == now:
        return None
    return office.request(
        session,
        log,
        DefaultsWish(wanted, version, brought(*map(office.dictionaries.named, (now, wanted)))),
        by=None,
        reason=f"Schoolgate was brought to version {version}",
        source=CONSOLE,
        asker="the update",
        reference=f"defaults-{log}-{wanted[:16]}",
    )
