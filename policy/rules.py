"""What a school's policy is made of: frozen values, right once built, each with one canonical JSON form.

A *document* is the whole policy of one school (or of the authority above the schools). Documents are what heads sign,
what the ledger names by digest and what the workers load; nothing else decides. Times are aware datetimes in UTC.
"""

import ipaddress
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from operator import not_
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError

from category_lists import names
from policy import passages
from policy.proof import canonical

STRICT = ConfigDict(extra="forbid", frozen=True, ser_json_timedelta="iso8601")
# For every field added after documents were first signed: `new: Annotated[str, UNSET_LEAVES_NO_TRACE] = ""`. An empty value
# is not written, so what was signed before the field existed keeps its one canonical text, and still verifies.
UNSET_LEAVES_NO_TRACE = Field(exclude_if=not_)


class Action(StrEnum):
    """What happens to what was asked. `STRICTNESS` orders them."""

    ALLOW = "allow"
    RESTRICT = "restrict"  # allowed with safe search or the like forced on
    WARN = "warn"  # a page that says think first, with a way on
    BLOCK = "block"


STRICTNESS = {Action.ALLOW: 0, Action.RESTRICT: 1, Action.WARN: 2, Action.BLOCK: 3}


class Handling(StrEnum):
    """Whether the content must be seen: *direct* passes through untouched, *inspect* goes through the proxy's eyes."""

    DIRECT = "direct"
    INSPECT = "inspect"


IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")


def _identifier(value: str) -> str:
    if not IDENTIFIER.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not an identifier: lower-case letters, digits and - _ . : only")
    return value


def _host(value: str) -> str:
    if names.canonical_host(value) != value:
        raise ValueError(f"{value[:80]!r} is not written in its canonical form")
    return value


def _path(value: str) -> str:
    if value and (not value.startswith("/") or names.canonical_path(value) != value):
        raise ValueError(f"{value[:80]!r} is not a canonical path")
    return value


def _prefix(value: str) -> str:
    return str(ipaddress.ip_network(value))


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, LookupError, OSError):
        raise ValueError(f"{value[:80]!r} is not a time zone such as Europe/London") from None
    return value


def _rule_action(value: Action) -> Action:
    if value is Action.RESTRICT:
        raise ValueError("a rule allows, warns or blocks; safe search is a group's own setting")
    return value


def _port(value: str) -> str:
    if passages.port(value) != value:
        raise ValueError(f"{value[:40]!r} is not written in its canonical form")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
Host = Annotated[str, AfterValidator(_host)]
Path = Annotated[str, AfterValidator(_path)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Port = Annotated[str, AfterValidator(_port)]
Video = Literal["", "strict", "moderate", "off"]
# What is looked into of sites that are simply open: search engines, video sites, sites that no list knows, all, or none of
# these. What a rule cannot be kept without seeing (parts of a site, warnings, safe search) is looked into in any case.
Look = Literal["search", "video", "unknown", "all", "none"]
Wording = Literal["", "block", "tell", "off"]  # what follows from the words of a search or page: as their category, or a note
Phase = Literal["early-years", "ks1", "ks2", "ks3", "ks4", "sixth-form", "staff", "guest"]
RuleAction = Annotated[Action, AfterValidator(_rule_action)]


@dataclass(frozen=True, slots=True)
class Group:
    """Who a rule is for. Its rules start from its phase's defaults in the taxonomy."""

    __pydantic_config__ = STRICT
    id: Identifier
    name: str
    phase: Phase
    safe_search: bool = True
    video: Annotated[Video, UNSET_LEAVES_NO_TRACE] = ""  # none said: as safe_search says
    looks: Annotated[tuple[Look, ...], UNSET_LEAVES_NO_TRACE] = ()  # none said: search, video and unknown
    wording: Annotated[Wording, UNSET_LEAVES_NO_TRACE] = ""  # none said: "block" for pupils and guests, "tell" for staff


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses whose clients belong to a group. `listener` "*" means whichever port the client came in by."""

    __pydantic_config__ = STRICT
    id: Identifier
    group: Identifier
    prefix: Prefix
    listener: str = "*"
    forced: bool = False  # its web traffic cannot go round the proxy, so DNS may resolve a site of which only a path is open


def _day(value: int) -> int:
    if not 0 <= value <= 6:
        raise ValueError("days run from 0, Monday, to 6")
    return value


def _clock(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError(f"{text[:20]!r} is not a time of day such as 09:00")
    return text


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the school's local day: `days` 0 is Monday; an end before the start runs past midnight."""

    __pydantic_config__ = STRICT
    days: tuple[Annotated[int, AfterValidator(_day)], ...]
    start: Annotated[str, AfterValidator(_clock)]
    end: Annotated[str, AfterValidator(_clock)]


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a rule applies, in the school's local time. No terms: all year."""

    __pydantic_config__ = STRICT
    id: Identifier
    name: str
    windows: tuple[Window, ...]
    terms: tuple[tuple[date, date], ...] = ()  # first and last day, both included


@dataclass(frozen=True, slots=True)
class SiteRule:
    """A site (with what is below it), or one path of it, for some groups, until a date.

    The reason in words stands in the change's detail record, not here: it may name people, and retention must be able to
    delete it without breaking a digest. `change` leads to it.
    """

    __pydantic_config__ = STRICT
    id: Identifier
    host: Host
    action: RuleAction
    change: int
    path: Path = ""
    groups: tuple[Identifier, ...] = ()  # none: the whole school
    person: Identifier | None = None
    starts: AwareDatetime | None = None
    until: AwareDatetime | None = None
    during: Identifier | None = None  # a timetable
    mandatory: bool = False  # authority's documents only: stands above the school's rules


@dataclass(frozen=True, slots=True)
class CategoryRule:
    """What happens to a category's sites for some groups."""

    __pydantic_config__ = STRICT
    id: Identifier
    category: Identifier
    action: RuleAction
    change: int
    groups: tuple[Identifier, ...] = ()
    phases: tuple[Phase, ...] = ()  # authority's documents only: groups are the schools' own
    until: AwareDatetime | None = None
    during: Identifier | None = None
    mandatory: bool = False


@dataclass(frozen=True, slots=True)
class ListedSite:
    """A site (with what is below it) on one of a school's own short lists."""

    __pydantic_config__ = STRICT
    id: Identifier
    host: Host
    change: int


@dataclass(frozen=True, slots=True)
class Suspension:
    """No internet for some groups or one person until an instant, but for the coursework list. It ends by itself."""

    __pydantic_config__ = STRICT
    id: Identifier
    change: int
    until: AwareDatetime
    starts: AwareDatetime | None = None
    groups: tuple[Identifier, ...] = ()  # none: `person` alone
    person: Identifier | None = None


Sign = Literal["any", "looks_harmful", "generated"]


@dataclass(frozen=True, slots=True)
class UnknownRule:
    """What happens to names that no list knows: to all of them, or to those that bear a sign."""

    __pydantic_config__ = STRICT
    id: Identifier
    sign: Sign
    action: RuleAction
    change: int
    groups: tuple[Identifier, ...] = ()
    until: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class AlertRule:
    """The school's own say on what becomes a capture: a word to watch for, one that means no harm, or where a theme goes."""

    __pydantic_config__ = STRICT
    id: Identifier
    change: int
    does: Literal["watch", "ignore", "route"]
    theme: str = ""  # one of monitoring's; none, for a word that means no harm: whatever it was taken for
    phrase: str = ""
    route: Literal["", "off", "weekly", "review", "urgent"] = ""
    groups: tuple[Identifier, ...] = ()  # none: the whole school


@dataclass(frozen=True, slots=True)
class Belonging:
    """Whose rules hold for one device, or for people who sign in, on whichever of the school's networks they are.

    Exactly one of `device`, `user` and `role` says whom it is about. Who signed in counts before the device, the device
    before the network; of names the whole one before a role, a role before a pattern, and the longest pattern first.
    """

    __pydantic_config__ = STRICT
    id: Identifier
    group: Identifier
    change: int
    device: Annotated[str, UNSET_LEAVES_NO_TRACE] = ""  # its pseudonym at this school
    user: Annotated[str, UNSET_LEAVES_NO_TRACE] = (
        ""  # a user name in small letters, or a pattern such as *@pupils.hill.sch.uk
    )
    role: Annotated[str, UNSET_LEAVES_NO_TRACE] = ""  # what the sign-in server says of a user: RADIUS Class or Filter-Id


def passage_id(prefix: str) -> str:
    """The one id that a network's passage can have, so that there is never a second."""
    return f"w-{prefix.replace('/', '-')}"


@dataclass(frozen=True, slots=True)
class Passage:
    """What the devices of one of the school's networks may do through a gateway beside the filtered web: policy/passages.py.

    A network of which none speaks may do nothing.
    """

    __pydantic_config__ = STRICT
    id: Identifier  # `passage_id`
    prefix: Prefix  # that of a `Network` of any listener; of others it says nothing
    change: int
    ports: tuple[Port, ...] = ()  # of the internet: tcp/993, udp/5000-5100; "all" of them
    reach: tuple[Prefix, ...] = ()  # others of the school's networks, which may be connected to
    filtered: bool = True  # no: forwarded as it is, its DNS too
    when_dead: Literal["closed", "direct"] = "closed"  # the web while the filter is dead; direct: names that need no look

    def __post_init__(self) -> None:
        if self.id != passage_id(self.prefix):
            raise ValueError(f"a passage of {self.prefix} is called {passage_id(self.prefix)}")


@dataclass(frozen=True, slots=True)
class Portal:
    """On a network people sign in at a page of ours. What a sign-in then gives them stands in `Belonging`, by its role."""

    __pydantic_config__ = STRICT
    id: Identifier
    network: Identifier
    change: int
    required: bool = False  # until somebody has signed in on a device, only essentials open on it


@dataclass(frozen=True, slots=True)
class AuthorityPolicy:
    """What the authority sets for its schools: mandatory rules above theirs, overridable defaults below."""

    __pydantic_config__ = STRICT
    log: Identifier
    name: str
    dictionary: str  # digest of the dictionary that clients of no school are judged by
    site_rules: tuple[SiteRule, ...] = ()
    category_rules: tuple[CategoryRule, ...] = ()
    kind: Literal["authority"] = "authority"


@dataclass(frozen=True, slots=True)
class SchoolPolicy:
    """Everything that decides for one school. It names by digest the authority rules and the dictionary it accepted."""

    __pydantic_config__ = STRICT
    log: Identifier
    name: str
    authority: str  # digest of the authority's document that this school accepted
    dictionary: str  # digest of the dictionary (index, taxonomy, search engines) that this school accepted
    groups: tuple[Group, ...] = ()
    networks: tuple[Network, ...] = ()
    timetables: tuple[Timetable, ...] = ()
    site_rules: tuple[SiteRule, ...] = ()
    category_rules: tuple[CategoryRule, ...] = ()
    blocked_answer: Literal["page", "nxdomain", "null"] = "page"  # what DNS says for a blocked name
    timezone: Annotated[str, AfterValidator(_zone)] = "Europe/London"
    kind: Literal["school"] = "school"
    never_inspect: Annotated[tuple[ListedSite, ...], UNSET_LEAVES_NO_TRACE] = ()  # their content is never looked into
    coursework: Annotated[tuple[ListedSite, ...], UNSET_LEAVES_NO_TRACE] = ()  # what a suspension leaves as it is
    suspensions: Annotated[tuple[Suspension, ...], UNSET_LEAVES_NO_TRACE] = ()
    unknown_rules: Annotated[tuple[UnknownRule, ...], UNSET_LEAVES_NO_TRACE] = ()
    # What captures are made of, beside what is usual.
    alert_rules: Annotated[tuple[AlertRule, ...], UNSET_LEAVES_NO_TRACE] = ()
    belongings: Annotated[
        tuple[Belonging, ...], UNSET_LEAVES_NO_TRACE
    ] = ()  # devices and users with rules of their own group
    passages: Annotated[tuple[Passage, ...], UNSET_LEAVES_NO_TRACE] = ()  # what networks may do beside the filtered web
    portals: Annotated[tuple[Portal, ...], UNSET_LEAVES_NO_TRACE] = ()  # networks on which people sign in at a page
    google_domains: Annotated[str, UNSET_LEAVES_NO_TRACE] = ""  # whose Google accounts may sign in, "a.sch.uk,b.sch.uk"; all
    microsoft_tenants: Annotated[str, UNSET_LEAVES_NO_TRACE] = ""  # the same for Microsoft
    microsoft_directory: Annotated[str, UNSET_LEAVES_NO_TRACE] = ""  # the school's own number there

    def group(self, group_id: str) -> Group | None:
        return next((group for group in self.groups if group.id == group_id), None)


Document = AuthorityPolicy | SchoolPolicy


@dataclass(frozen=True, slots=True)
class ListRef:
    """One accepted list as a dictionary names it."""

    __pydantic_config__ = STRICT
    id: str
    category: Identifier
    version: str
    digest: str
    entries: int


@dataclass(frozen=True, slots=True)
class Dictionary:
    """The digests of everything that says what a name is. Content-addressed: a changed file is another dictionary."""

    __pydantic_config__ = STRICT
    index: str
    taxonomy: str
    engines: str
    lists: tuple[ListRef, ...] = field(default=())
    # The sealed list of illegal content, left out of the text while there is none, so that older dictionaries stay valid.
    sealed: Annotated[str, Field(exclude_if=lambda value: not value)] = ""
    model: Annotated[str, UNSET_LEAVES_NO_TRACE] = ""  # of names that no list knows; compiled from the lists, like the index
    phrases: Annotated[str, UNSET_LEAVES_NO_TRACE] = ""  # the phrase sets; unset in older ones, which judge by those shipped


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def write[T](value: T) -> str:
    """The one canonical text of a value: what is hashed, signed and stored."""
    return canonical(_adapter(type(value)).dump_python(value, mode="json"))


def read[T](kind: type[T], text: str) -> T:
    """The value that a canonical text means; ValueError in one plain line otherwise."""
    try:
        value: T = _adapter(kind).validate_json(text)
    except ValidationError as errors:
        first = errors.errors()[0]
        where = ".".join(map(str, first["loc"])) or kind.__name__
        raise ValueError(" ".join(f"{where}: {first['msg']}".split())) from None
    if write(value) != text:
        raise ValueError(f"a {kind.__name__} must be written in its canonical form")
    return value


def read_document(text: str) -> Document:
    """A school's or an authority's document from its canonical text; ValueError in one plain line otherwise."""
    try:
        kind = json.loads(text)["kind"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("this is not a policy document") from None
    return read(AuthorityPolicy, text) if kind == "authority" else read(SchoolPolicy, text)


def instant(at: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, as canonical documents write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
