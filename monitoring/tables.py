"""The filter log's own database: what its tables are. How one is opened: database.py.

Moments are whole microseconds since 1970, UTC: the same number in every database, and an hour of it is a division.
Names of sites are kept a second time from their end ("uk.co.bbc.www."): a site and all below it are one range of an index.
"""

import re

import sqlalchemy as sql

# How much of each text of an event is kept. A pupil can type a megabyte into a search box; nobody can read it.
SIZES = {
    "kind": 16,
    "school": 64,
    "group": 64,
    "network": 64,
    "identified_by": 32,
    "person": 64,
    "address": 64,
    "device": 128,
    "host": 255,
    "path": 2048,
    "term": 1024,
    "action": 16,
    "handling": 16,
    "reason": 32,
    "category": 64,
    "list": 128,
    "rule": 128,
    "outcome": 64,
    "detail": 2048,
    "worker": 64,
    "title": 200,
}
NOT_ASKED = frozenset({"request", "notice"})  # people and the filter speaking, not traffic
MIXED = ("group", "kind", "action", "category", "reason", "network", "identified_by", "rule")  # fields of few values
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL refuses NUL; half a surrogate pair is no character anywhere

# Ranges of reversed names need the order of the bytes, whatever language the database speaks.
_BY_BYTES = sql.String(300).with_variant(sql.String(300, collation="C"), "postgresql")
_NUMBER = sql.BigInteger().with_variant(sql.Integer(), "sqlite")  # SQLite counts rows only in a plain INTEGER

metadata = sql.MetaData()


def _texts(*but: str) -> list[sql.Column[str]]:
    return [sql.Column(name, sql.String(size), nullable=False) for name, size in SIZES.items() if name not in but]


# The person, or the device or address where no person is known: word for word what search.who asks, or no index is used.
_WHO = "coalesce(nullif(person, ''), nullif(device, ''), address)"

events = sql.Table(  # what deserves a line of its own
    "events",
    metadata,
    sql.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sql.Column("at", sql.BigInteger, nullable=False),
    *_texts(),
    sql.Column("change", sql.BigInteger, nullable=False),
    sql.Column("site", _BY_BYTES, nullable=False),
    sql.Index("events_at", "school", "at"),
    sql.Index("events_who", "school", sql.text(_WHO), "at"),
    sql.Index("events_site", "school", "site", "at"),
    sql.Index("events_action", "school", "action", "at"),
    sql.Index("events_category", "school", "category", "at"),
    # Few lines have search words, and looking through them all is how a word is found: so, only those.
    sql.Index(
        "events_term",
        "school",
        "at",
        sqlite_where=sql.text("term <> ''"),
        postgresql_where=sql.text("term <> ''"),
    ),
)

folded = sql.Table(  # what was allowed, counted by the minute
    "folded",
    metadata,
    sql.Column("minute", sql.BigInteger, primary_key=True, autoincrement=False),  # minutes since 1970
    sql.Column("fold", sql.BigInteger, primary_key=True, autoincrement=False),  # digest of all texts below and the change
    sql.Column("at", sql.BigInteger, nullable=False),  # the first
    sql.Column("last", sql.BigInteger, nullable=False),
    sql.Column("count", sql.BigInteger, nullable=False),
    *_texts("path", "term", "detail", "worker", "title"),
    sql.Column("change", sql.BigInteger, nullable=False),
    sql.Column("site", _BY_BYTES, nullable=False),
    sql.Index("folded_at", "school", "at"),
    sql.Index("folded_who", "school", sql.text(_WHO), "at"),
    sql.Index("folded_site", "school", "site", "at"),
    sql.Index("folded_category", "school", "category", "at"),
    sqlite_with_rowid=False,
)

# Counts kept with the lines and in their transaction, so that a month's picture need not read a month's lines. Both hold the
# group, because who may see a group's lines may differ (staff are the headteacher's alone).
hours = sql.Table(  # how much was asked, by the hour: nobody's name is in it, so it may be kept for trends
    "hours",
    metadata,
    sql.Column("school", sql.String(64), primary_key=True),
    sql.Column("hour", sql.BigInteger, primary_key=True, autoincrement=False),  # hours since 1970
    *(sql.Column(name, sql.String(SIZES[name]), primary_key=True) for name in ("group", "kind", "action", "category")),
    sql.Column("count", sql.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
# The same once more, shorter: a term at a large school is a million rows of `hours`, and a report waits for none of them.
hour_sums = sql.Table(
    "hour_sums",
    metadata,
    sql.Column("school", sql.String(64), primary_key=True),
    sql.Column("hour", sql.BigInteger, primary_key=True, autoincrement=False),
    *(sql.Column(name, sql.String(SIZES[name]), primary_key=True) for name in ("group", "action")),
    sql.Column("count", sql.BigInteger, nullable=False),  # traffic alone: no requests, no notices
    sqlite_with_rowid=False,
)
day_sums = sql.Table(
    "day_sums",
    metadata,
    sql.Column("school", sql.String(64), primary_key=True),
    sql.Column("day", sql.BigInteger, primary_key=True, autoincrement=False),  # days since 1970, UTC
    *(sql.Column(name, sql.String(SIZES[name]), primary_key=True) for name in ("group", "kind", "action", "category")),
    sql.Column("count", sql.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
tallies = sql.Table(  # how often each person, site, search ... came up on a day (UTC)
    "tallies",
    metadata,
    sql.Column("school", sql.String(64), primary_key=True),
    sql.Column("what", sql.String(16), primary_key=True),  # one of tallies.COUNTED
    sql.Column("day", sql.BigInteger, primary_key=True, autoincrement=False),  # days since 1970
    sql.Column("value", sql.String(200), primary_key=True),
    sql.Column("group", sql.String(64), primary_key=True),
    sql.Column("action", sql.String(16), primary_key=True),
    sql.Column("count", sql.BigInteger, nullable=False),
    sql.Index("tallies_value", "school", "what", "value", "day"),  # on which days was it seen at all?
    sqlite_with_rowid=False,
)

# What never was together on a day need not be looked for on that day. Both are written with the lines, and only once a day
# for each: a month of ten million lines has some ten thousand rows here.
mixes = sql.Table(  # which values of what has few values came up together
    "mixes",
    metadata,
    sql.Column("school", sql.String(64), primary_key=True),
    sql.Column("day", sql.BigInteger, primary_key=True, autoincrement=False),  # days since 1970, UTC
    *(sql.Column(name, sql.String(SIZES[name]), primary_key=True) for name in MIXED),
    sql.Column("change", sql.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
seats = sql.Table(  # who was at which device and address
    "seats",
    metadata,
    sql.Column("school", sql.String(64), primary_key=True),
    sql.Column("day", sql.BigInteger, primary_key=True, autoincrement=False),
    *(sql.Column(name, sql.String(SIZES["device"]), primary_key=True) for name in ("who", "device", "address")),
    sql.Index("seats_who", "school", "who", "day"),
    sql.Index("seats_device", "school", "device", "day"),
    sql.Index("seats_address", "school", "address", "day"),
    sqlite_with_rowid=False,
)

# --- what people make of it: see captures.py, incidents.py, meetings.py, retention.py, masks.py ---------------------------


def _key() -> sql.Column[int]:
    return sql.Column("id", _NUMBER, primary_key=True, autoincrement=True)


def _school() -> sql.Column[str]:
    return sql.Column("school", sql.String(64), nullable=False)


def _at(name: str = "at", *, may_lack: bool = False) -> sql.Column[int]:
    return sql.Column(name, sql.BigInteger, nullable=may_lack)


def _text(name: str, size: int = 200) -> sql.Column[str]:
    return sql.Column(name, sql.String(size), nullable=False, server_default="")


def _long(name: str) -> sql.Column[str]:
    return sql.Column(name, sql.Text, nullable=False, server_default="")


def _count(name: str, start: int = 0) -> sql.Column[int]:
    return sql.Column(name, sql.BigInteger, nullable=False, server_default=str(start))


captures = sql.Table(  # events, or runs of them, that someone should look at
    "captures",
    metadata,
    _key(),
    _school(),
    _at(),  # the first event
    _at("last"),
    _count("count", 1),
    _text("who", 128),
    _text("group", 64),
    _text("phase", 16),
    _text("theme", 32),
    _text("area", 16),
    _text("route", 16),  # urgent, review, weekly
    _count("score"),
    _text("term", 1024),
    _text("site", 255),
    _text("why"),  # in words: what was found, and which rule says so
    _count("change"),  # the change behind the rule; 0: the product's own
    _long("context"),  # JSON: what came before and after
    _text("lesson"),  # a teacher's declaration that fits; it annotates, never hides
    _text("subject", 16),  # pupil, staff, head: who may see it, and to whom it goes
    _text("grade", 16),  # "" while nobody has looked
    _text("graded_by"),
    _at("graded_at", may_lack=True),
    _text("assigned"),
    _count("incident"),
    sql.Index("captures_waiting", "school", "grade", "route", "at"),
    sql.Index("captures_who", "school", "who", "theme", "last"),
    sql.Index("captures_incident", "school", "incident"),
    sql.Index("captures_at", "school", "at"),
)
marks = sql.Table(  # every grade anybody ever gave, also those taken back
    "marks",
    metadata,
    _key(),
    _school(),
    _count("capture"),
    _at(),
    _text("person"),
    _text("grade", 16),
    _text("before", 16),
    _text("purpose", 16),  # triage, second, blind
    _text("said", 1000),
    _text("batch", 32),  # what one keystroke did, so that one keystroke takes it back
    _count("undone"),
    sql.Index("marks_capture", "school", "capture"),
    sql.Index("marks_batch", "school", "batch"),
    sql.Index("marks_at", "school", "at"),
)
lessons = sql.Table(  # what teachers said they would teach
    "lessons",
    metadata,
    _key(),
    _school(),
    _text("person"),
    _text("group", 64),
    _text("theme", 32),
    _text("topic"),
    _at("begins"),
    _at("ends"),
)
watched = sql.Table(  # up to which event captures have been made
    "watched",
    metadata,
    sql.Column("name", sql.String(32), primary_key=True),
    _count("event"),
)
alarms = sql.Table(  # what must be acknowledged, and by whom next
    "alarms",
    metadata,
    _key(),
    _school(),
    _at(),
    _text("about", 64),  # "capture:17", "nobody-looked:2026-11-20"
    _text("words"),  # without anybody's name
    _text("subject", 16),
    _count("step"),  # how far along its chain it is
    _at("due"),
    _text("acknowledged_by"),
    _at("acknowledged_at", may_lack=True),
    _long("told"),  # JSON: who was told when
    sql.UniqueConstraint("school", "about", name="alarms_about"),
    sql.Index("alarms_due", "acknowledged_at", "due"),
)
incidents = sql.Table(
    "incidents",
    metadata,
    _key(),
    _school(),
    _at(),
    _text("opened_by"),
    _text("theme", 32),
    _text("area", 16),
    _text("subject", 16),
    _text("summary", 2000),
    _text("state", 16),
    _text("decision", 16),
    _text("decided_by"),
    _text("reasons", 2000),
    _text("countersigned_by"),
    _text("outcome", 2000),
    _at("follow_up", may_lack=True),
    _text("held_by"),  # police hold: nothing of it is deleted, few see it
    _text("reference", 64),  # of the police, or of another system
    sql.Index("incidents_state", "school", "state", "at"),
)
entries = sql.Table(  # an incident's timeline: only ever added to
    "incident_entries",
    metadata,
    _key(),
    _school(),
    _count("incident"),
    _at(),
    _text("person"),
    _text("kind", 24),
    _text("said", 4000),
    sql.Index("incident_entries_of", "school", "incident"),
)
actions = sql.Table(
    "actions",
    metadata,
    _key(),
    _school(),
    _count("incident"),
    _count("meeting"),
    _at(),
    _text("owner"),
    _text("what", 1000),
    _at("due"),
    _at("done_at", may_lack=True),
    _text("done_by"),
    sql.Index("actions_due", "school", "done_at", "due"),
)
meetings = sql.Table(
    "meetings",
    metadata,
    _key(),
    _school(),
    _at(),
    _text("opened_by"),
    _at("since"),
    _text("state", 16),
    _long("agenda"),  # JSON, as it was when the meeting was opened
    _long("minutes"),  # JSON: by item, what was said and decided
    _at("next", may_lack=True),
    _text("digest", 64),
    _count("entry"),  # of the change log
    sql.Index("meetings_at", "school", "at"),
)
signatures = sql.Table(
    "meeting_signatures",
    metadata,
    sql.Column("meeting", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("person", sql.String(200), primary_key=True),
    _school(),
    _text("role", 32),
    _at(),
    _long("text"),
)
looks = sql.Table(  # who looked at captures, on which day: the proof that somebody does
    "looks",
    metadata,
    sql.Column("school", sql.String(64), primary_key=True),
    sql.Column("day", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("person", sql.String(200), primary_key=True),
    _count("looked"),
    _count("graded"),
)
unmaskings = sql.Table(  # who was named to whom, why and until when
    "unmaskings",
    metadata,
    _key(),
    _school(),
    _text("code", 16),
    _text("person"),
    _text("reason", 500),
    _at(),
    _at("until"),
    sql.Index("unmaskings_of", "school", "person", "until"),
)
searches = sql.Table(
    "searches",
    metadata,
    _key(),
    _school(),
    _text("person"),
    _text("name", 80),
    _text("query", 2000),
)
settings = sql.Table(  # a school's own: retention with its reasons, rota, reports, holidays
    "settings",
    metadata,
    sql.Column("school", sql.String(64), primary_key=True),
    sql.Column("name", sql.String(32), primary_key=True),
    _long("value"),  # JSON
    _text("person"),
    _at(),
)
holds = sql.Table(  # what must not be deleted, whatever its age
    "holds",
    metadata,
    _key(),
    _school(),
    _text("who", 128),  # "": everything of the school
    _at("begins"),
    _at("ends"),
    _text("person"),
    _text("reason", 500),
    _at(),
    _at("lifted_at", may_lack=True),
    _text("lifted_by"),
)
deletions = sql.Table(  # what retention deleted, and said that it deleted
    "deletions",
    metadata,
    _key(),
    _school(),
    _at(),
    _text("class", 16),
    _at("before"),
    _count("count"),
    _text("person"),
)

devices = sql.Table(  # the register: what is in a school's networks, and what people say of it
    "devices",
    metadata,
    _key(),
    _school(),
    _text("device", 32),  # its pseudonym, as events have it
    _text("mac", 17),
    _text("name", 80),  # what people call it
    _text("told", 63),  # what it calls itself, to the DHCP server
    _text("kind", 40),
    _text("owner", 80),
    _text("room", 40),
    _text("standing", 16),  # "managed", "byod", "guest", or "" when nobody has said
    _text("seen_by", 16),
    _long("addresses"),  # JSON
    _at("first_seen"),  # 0: never yet
    _at("last_seen"),
    sql.UniqueConstraint("school", "device"),
)
known_people = sql.Table(  # who a pseudonym is, for whoever may take it off
    "known_people",
    metadata,
    _key(),
    _school(),
    _text("person", 32),
    _text("user", 253),
    _at("last_seen"),
    sql.UniqueConstraint("school", "person"),
)

spool_positions = sql.Table(  # how far each worker's spool is in the tables above: written with them, or not at all
    "spool_positions",
    metadata,
    sql.Column("worker", sql.String(64), primary_key=True),
    sql.Column("seq", sql.BigInteger, nullable=False),
    sql.Column("offset", sql.BigInteger, nullable=False),
    sql.Column("lost_seen", sql.BigInteger, nullable=False),  # the worker's own count, as last read
    sql.Column("lost", sql.BigInteger, nullable=False),  # all that was ever lost or damaged
)

handovers = sql.Table(  # requests and notices not yet handed on; gone once they are
    "handovers",
    metadata,
    sql.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sql.Column("record", sql.LargeBinary, nullable=False),
)

UNCOUNTED = "uncounted"  # in `meta`: the last day of lines that were stored before `mixes` and `seats` were kept
meta = sql.Table(
    "meta",
    metadata,
    sql.Column("name", sql.String(32), primary_key=True),
    sql.Column("value", sql.String(255), nullable=False),
)


def clean(text: str, size: int) -> str:
    """What every database can hold of a text."""
    text = text[:size]
    return text if text.isascii() and "\0" not in text else UNSTORABLE.sub("\ufffd", text)


def site(host: str) -> str:
    """The name from its end, "www.bbc.co.uk" as "uk.co.bbc.www.": what begins with this is the site or below it."""
    return ".".join(reversed(host.strip().strip(".").lower().split("."))) + "."
