"""`schoolgate lists status`: the lists in force, how old they are, how their feeds do, and how far they say the same."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from re import match

from category_lists import catalogue, feed_state, sealed
from category_lists.index import Shared
from category_lists.taxonomy import Taxonomy
from policy.live import Objects
from policy.rules import Dictionary, Document, ListRef, read


@dataclass(frozen=True, slots=True)
class ListLine:
    """One list in force. `shared` is how many percent of it another list of its category says as well."""

    id: str
    category: str
    version: str
    entries: int
    days_old: int | None
    shared_percent: int | None
    shared_with: str


@dataclass(frozen=True, slots=True)
class FeedLine:
    """One feed that was ever tried."""

    id: str
    tried: str
    succeeded: str
    changed: str
    failures: int
    late: bool
    said: str


@dataclass(frozen=True, slots=True)
class Status:
    lists: tuple[ListLine, ...]
    feeds: tuple[FeedLine, ...]
    sealed: str

    def as_json(self) -> list[dict[str, object]]:
        """The lists alone; how feeds do is in `schoolgate lists catalogue --json`."""
        return [asdict(one) for one in self.lists]

    def as_lines(self) -> list[str]:
        found = [_line(one) for one in self.lists]
        if self.feeds:
            found.append("\nfeeds")
        for feed in self.feeds:
            how = f"failed {feed.failures} times: {feed.said}" if feed.failures else feed.said or "up to date"
            found.append(f"  {feed.id:24} last good {feed.succeeded or 'never'}, last news {feed.changed or 'never'}; {how}")
        return [*found, "", self.sealed]


def _line(one: ListLine) -> str:
    age = f"{one.days_old} d" if one.days_old is not None else "?"
    shared = f"  {one.shared_percent}% also in {one.shared_with}" if one.shared_with else ""
    return f"{one.id:40} {one.category:28} {one.entries:>10,}  {one.version:22} {age:>6}{shared}"


def status(data: Path, document: Document, shared: Mapping[str, Shared]) -> Status:
    """`shared`: what the document's index says of its lists."""
    objects = Objects(data)
    named = read(Dictionary, objects.text(document.dictionary))
    taxonomy = Taxonomy.from_json(objects.text(named.taxonomy))
    now = datetime.now(UTC)
    return Status(
        lists_of(named.lists, shared, now.date()), _feeds(data, taxonomy, now), sealed_line(objects, named, now.date())
    )


def lists_of(refs: Sequence[ListRef], shared: Mapping[str, Shared], today: date) -> tuple[ListLine, ...]:
    found = []
    for ref in refs:
        dated = match(r"\d{4}-\d{2}-\d{2}", ref.version)
        days = max(0, (today - date.fromisoformat(dated[0])).days) if dated else None
        twin = shared.get(ref.id)
        percent, other = (twin.percent, twin.other) if twin else (None, "")
        found.append(ListLine(ref.id, ref.category, ref.version, ref.entries, days, percent, other))
    return tuple(found)


def _feeds(data: Path, taxonomy: Taxonomy, now: datetime) -> tuple[FeedLine, ...]:
    known = catalogue.load(data, taxonomy.categories)
    found = []
    for folder in sorted(feed_state.folder(data).glob("*/state.json")):
        one = feed_state.load(data, folder.parent.name)
        feed = known.get(one.id)
        late = one.late(now, feed.every_hours) if feed else True
        found.append(FeedLine(one.id, one.tried, one.succeeded, one.changed, one.failures, late, one.said))
    return tuple(found)


def sealed_line(objects: Objects, named: Dictionary, today: date) -> str:
    if not named.sealed:
        return "illegal content: no licensed list is installed, so this is not yet appropriate filtering"
    try:
        bundle = sealed.load(objects.sealed_folder, objects.sealed_key, named.sealed).bundle
    except sealed.CannotOpen as error:
        return f"illegal content: ALARM: {error}"
    old = f"; ALARM: it is {bundle.days_old(today)} days old, ask for a newer one" if bundle.stale(today) else ""
    return f"illegal content: sealed list of {bundle.issuer}, {bundle.entries:,} entries, issued {bundle.issued}{old}"
