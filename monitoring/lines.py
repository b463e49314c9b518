"""The filter log's words: what may be asked of it, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST = (1 << 63) - 1
MINUTE, HOUR = 60_000_000, 3_600_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the filter log: an event, or `count` like ones of the same minute."""

    id: str  # also the cursor of what follows it
    at: datetime  # of the first
    last: datetime
    count: int
    kind: str
    school: str
    group: str
    network: str
    identified_by: str
    person: str
    address: str
    device: str
    host: str
    path: str
    term: str
    action: str
    handling: str
    reason: str
    category: str
    list: str
    rule: str
    change: int
    outcome: str
    detail: str
    worker: str
    title: str  # of a page that was opened and read


@dataclass(frozen=True, slots=True)
class Query:
    """Which lines. What is None does not matter; all else must hold.

    Who may ask about which school is decided above: `school` None means all of them.
    """

    school: str | None = None
    since: datetime | None = None  # this moment or later
    until: datetime | None = None  # before this moment
    person: str | None = None
    who: str | None = None  # the person, or the device or address where no person is known
    address: str | None = None
    device: str | None = None
    group: str | None = None
    host: str | None = None  # the site: this name and what is below it
    category: str | None = None
    action: str | None = None
    kind: str | None = None
    reason: str | None = None
    rule: str | None = None
    network: str | None = None
    identified_by: str | None = None  # how the person was known: "proxy", "lease", "network", ...
    change: int | None = None
    but_groups: tuple[str, ...] = ()  # whose lines are not for who asks
    term: str | None = None  # within the search words
    text: str | None = None  # within site, path, title, search words or detail
    limit: int = 100
    after: str | None = None  # Page.next of the page before

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 10_000:
            raise ValueError(f"a page has 1 to 10,000 lines, not {self.limit}")
        if self.change is not None and not 0 <= self.change <= LARGEST:
            raise ValueError(f"no change has the number {self.change}")
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"a moment needs its time zone: {moment}")
        if self.after is not None:
            Cursor.parse(self.after)


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `next` is the `after` of the query for what follows, None at the end.

    A search that reads much stops after a moment: then `looked_back` says how far it has come, and `next` goes on there.
    """

    rows: tuple[Line, ...]
    next: str | None = None
    looked_back: datetime | None = None

    @property
    def more(self) -> bool:
        return self.next is not None


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something of this kind was asked within a period."""

    kind: str
    action: str
    category: str
    count: int


@dataclass(frozen=True, slots=True)
class Hour:
    at: datetime
    asked: int
    blocked: int


@dataclass(frozen=True, slots=True)
class Counted:
    """A period of whole hours, counted two ways: each hour that had traffic, and the whole by what it was."""

    hours: Sequence[Hour]
    what: Sequence[Tally]


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of what the filter saw is in the log."""

    stored: int  # events, also those that retention has deleted since
    lost: int  # dropped by a full spool, or found damaged

    @property
    def percent(self) -> float:
        every = self.stored + self.lost
        return 100.0 if not every else 100.0 * self.stored / every


@dataclass(frozen=True, slots=True)
class Summary:
    """A school's period in numbers. `warned` is not within `blocked`."""

    asked: int
    blocked: int
    warned: int
    searches: int
    sites_blocked: Sequence[tuple[str, int]] = field(default=())
    categories: Sequence[tuple[str, int]] = field(default=())
    categories_blocked: Sequence[tuple[str, int]] = field(default=())
    by_hour: Sequence[Hour] = field(default=())


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a line in the one order of both tables: newest first, own lines before folded ones, then by number."""

    at: int
    table: str  # "e" own, "f" folded
    number: int

    def __str__(self) -> str:
        return f"{self.at}{self.table}{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        for table in "ef":
            at, found, number = text.partition(table)
            if found and len(text) <= 42 and text.isascii():
                try:
                    cursor = cls(int(at), table, int(number))
                except ValueError:
                    break
                if 0 <= cursor.at <= LARGEST and abs(cursor.number) <= LARGEST:
                    return cursor
        raise ValueError(f"not a place in the log: {text[:60]!r}")


def moment(at: int) -> datetime:
    return EPOCH + timedelta(microseconds=at)


def microseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)
