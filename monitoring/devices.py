"""The register of devices: what is in a school's networks, since when, and what people say of it.

Events know devices and people by pseudonyms of this installation; here stands what each means, for those who may know. What
people write here changes no answer of the filter: whose rules hold for a device is policy, asked for and signed.
"""

import csv
import hashlib
import hmac
import io
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sql

from monitoring import store
from monitoring.lines import microseconds
from monitoring.log import Log
from monitoring.tables import clean, known_people
from monitoring.tables import devices as table

STANDINGS: Final[Mapping[str, str]] = {"managed": "the school’s own, managed", "byod": "somebody’s own", "guest": "a guest’s"}
FIELDS: Final = ("name", "kind", "owner", "room", "standing")
COLUMNS: Final = ("mac", *FIELDS, "group", "told", "first_seen", "last_seen", "addresses")  # of the CSV
FRESH_S: Final = 60  # `last_seen` is not written more often
A_PAGE: Final = 100
MOST_ROWS: Final = 5000
_MAC = re.compile(r"(?:[0-9a-f]{2}[-:]?){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}")


def mac_of(text: str) -> str:
    """00-11-22-AA-BB-CC, 0011.22aa.bbcc and the like as 00:11:22:aa:bb:cc; "" for what is none."""
    text = text.strip().lower()
    if not _MAC.fullmatch(text):
        return ""
    plain = re.sub(r"[^0-9a-f]", "", text)
    return ":".join(plain[at : at + 2] for at in range(0, 12, 2)) if plain not in ("0" * 12, "f" * 12) else ""


def made_up(mac: str) -> bool:
    """A MAC that the device chose itself, as phones do: another one in another network."""
    return bool(int(mac[:2], 16) & 2) if mac else False


class Names:
    """The pseudonyms of devices and people: one school's mean nothing in another."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._made: dict[tuple[str, str, str], str] = {}

    def of(self, school: str, kind: str, value: str) -> str:
        """d-... of a MAC, p-... of a user name; "" of nothing."""
        if not value:
            return ""
        if len(self._made) > 100_000:
            self._made.clear()
        key = (school, kind, value)
        if key not in self._made:
            said = "\0".join(key).encode("utf-8", "replace")
            self._made[key] = f"{kind}-{hmac.new(self._key, said, hashlib.sha256).hexdigest()[:16]}"
        return self._made[key]


@dataclass(frozen=True, slots=True)
class Seen:
    """A device as it was seen just now."""

    school: str
    device: str  # its pseudonym
    mac: str
    name: str  # what it calls itself
    addresses: tuple[str, ...]
    by: str
    person: str  # the pseudonym of whoever signed in on it
    user: str
    at: float


@dataclass(frozen=True, slots=True)
class Device:
    """One line of the register."""

    device: str
    mac: str
    name: str = ""
    told: str = ""
    kind: str = ""
    owner: str = ""
    room: str = ""
    standing: str = ""
    seen_by: str = ""
    addresses: tuple[str, ...] = ()
    first_seen: int = 0  # microseconds
    last_seen: int = 0

    @property
    def called(self) -> str:
        return self.name or self.told or self.mac

    @property
    def first(self) -> datetime | None:
        return datetime.fromtimestamp(self.first_seen / 1e6, UTC) if self.first_seen else None

    @property
    def last(self) -> datetime | None:
        return datetime.fromtimestamp(self.last_seen / 1e6, UTC) if self.last_seen else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list of devices is narrowed to."""

    words: str = ""  # in any of its texts
    standing: str = ""  # or "none": nobody has said
    since: int = 0  # seen at this moment or later, microseconds


def _device(row: store.Row) -> Device:
    names = [each.name for each in fields(Device) if each.name != "addresses"]
    return Device(**{name: row[name] for name in names}, addresses=tuple(json.loads(row["addresses"] or "[]")))


def search(log: Log, school: str, wanted: Wanted, *, after: int = 0, limit: int = A_PAGE) -> Sequence[Device]:
    """Devices, those seen last first; from the `after`th on."""
    asked = sql.select(table).where(table.c.school == school)
    for word in wanted.words.split()[:5]:
        like = f"%{_plain(mac_of(word) or word.lower())}%"
        texts = (*(table.c[name] for name in FIELDS), table.c.told, table.c.mac, table.c.addresses, table.c.device)
        asked = asked.where(sql.or_(*(sql.func.lower(text).like(like, escape="\\") for text in texts)))
    if wanted.standing:
        asked = asked.where(table.c.standing == ("" if wanted.standing == "none" else wanted.standing))
    if wanted.since:
        asked = asked.where(table.c.last_seen >= wanted.since)
    asked = asked.order_by(table.c.last_seen.desc(), table.c.id).offset(after).limit(limit)
    with store.reading(log) as connection:
        return [_device(row) for row in store.rows(connection, asked)]


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def counts(log: Log, school: str) -> Mapping[str, int]:
    """How many devices of each standing; "" for those of which nobody has said."""
    asked = sql.select(table.c.standing, sql.func.count()).where(table.c.school == school).group_by(table.c.standing)
    with store.reading(log) as connection:
        return {str(standing): int(count) for standing, count in connection.execute(asked)}


def one(log: Log, school: str, device: str) -> Device:
    """LookupError where the school has none by this pseudonym or MAC."""
    asked = sql.select(table).where(
        table.c.school == school, sql.or_(table.c.device == device, table.c.mac == mac_of(device))
    )
    with store.reading(log) as connection:
        rows = store.rows(connection, asked) if device else []
    if not rows:
        raise LookupError("there is no such device here")
    return _device(rows[0])


def called(log: Log, school: str, codes: Iterable[str]) -> Mapping[str, str]:
    """What pseudonyms of devices and people stand for: to be shown only where they may be taken off."""
    wanted = [code for code in set(codes) if code[:2] in ("d-", "p-")]
    if not wanted:
        return {}
    of_devices = sql.select(table).where(table.c.school == school, table.c.device.in_(wanted))
    of_people = sql.select(known_people).where(known_people.c.school == school, known_people.c.person.in_(wanted))
    with store.reading(log) as connection:
        found = {row["device"]: _device(row).called for row in store.rows(connection, of_devices)}
        return found | {row["person"]: row["user"] for row in store.rows(connection, of_people)}


def of_user(log: Log, school: str, users: Collection[str], owners: Collection[str]) -> frozenset[str]:
    """The pseudonyms under which people come up: signed in as one of `users`, or with a device of one of `owners`."""
    wanted = {name.strip().casefold() for name in users if name.strip()}
    theirs = {name.strip().casefold() for name in owners if name.strip()}
    people = sql.select(known_people.c.person, known_people.c.user).where(known_people.c.school == school)
    owned = sql.select(table.c.device, table.c.owner).where(table.c.school == school, table.c.owner != "")
    with store.reading(log) as connection:
        found = {row.person for row in connection.execute(people) if row.user.casefold() in wanted}
        return frozenset(found | {row.device for row in connection.execute(owned) if row.owner.strip().casefold() in theirs})


def describe(log: Log, school: str, device: str, said: Mapping[str, str]) -> Device:
    """Put down what someone says of a device. ValueError in a sentence for what cannot be."""
    values = _checked(said)
    with store.changing(log) as connection:
        asked = sql.update(table).where(table.c.school == school, table.c.device == device)
        fitted = {name: store.fit(table, name, value) for name, value in values.items()}
        if not connection.execute(asked.values(**fitted)).rowcount:
            raise LookupError("there is no such device here")
    return one(log, school, device)


def _checked(said: Mapping[str, str]) -> dict[str, str]:
    values = {name: " ".join(str(value).split()) for name, value in said.items() if name in FIELDS}
    for name, value in values.items():
        longest = table.c[name].type.length  # type: ignore[attr-defined]  # they are texts
        if len(value) > longest:
            raise ValueError(f"the {name} has more than {longest} letters")
    if values.get("standing", "") not in {"", *STANDINGS}:
        raise ValueError(f"a device is {', '.join(STANDINGS)} or left open, not {values['standing'][:20]!r}")
    return values


def forget(log: Log, school: str, device: str) -> None:
    """Take a device out of the register. If it is seen again, it is there again, without what was said of it."""
    with store.changing(log) as connection:
        connection.execute(sql.delete(table).where(table.c.school == school, table.c.device == device))


def take(log: Log, seen: Iterable[Seen]) -> int:
    """Into the register with what was seen; returns how many lines that changed."""
    changed = 0
    by_school: dict[str, list[Seen]] = {}
    for each in seen:
        by_school.setdefault(each.school, []).append(each)
    for school, some in by_school.items():
        with store.changing(log) as connection:
            held = {
                row["device"]: row
                for row in store.rows(connection, sql.select(table).where(table.c.school == school))
            }  # fmt: skip
            for each in some:
                changed += _take_one(connection, held.get(each.device), each)
            _take_people(connection, school, some)
    return changed


def _take_one(connection: sql.Connection, held: store.Row | None, seen: Seen) -> bool:
    at, addresses = int(seen.at * 1e6), json.dumps(sorted(seen.addresses)[:20])
    if held is None:
        store.add(
            connection, table, school=seen.school, device=seen.device, mac=seen.mac, told=seen.name, seen_by=seen.by,
            addresses=addresses, first_seen=at, last_seen=at,
        )  # fmt: skip
        return True
    new = {"addresses": addresses, "seen_by": seen.by, "told": clean(seen.name, 63) or held["told"]}
    if all(held[name] == value for name, value in new.items()) and at - held["last_seen"] < FRESH_S * 1_000_000:
        return False
    first = held["first_seen"] or at
    connection.execute(sql.update(table).where(table.c.id == held["id"]).values(**new, first_seen=first, last_seen=at))
    return True


def _take_people(connection: sql.Connection, school: str, seen: Iterable[Seen]) -> None:
    people = {each.person: each for each in seen if each.person}
    if not people:
        return
    where = (known_people.c.school == school) & known_people.c.person.in_(list(people))
    held = {row["person"]: row for row in store.rows(connection, sql.select(known_people).where(where))}
    for person, each in people.items():
        at = int(each.at * 1e6)
        if person not in held:
            store.add(connection, known_people, school=school, person=person, user=each.user, last_seen=at)
        elif at - held[person]["last_seen"] > FRESH_S * 1_000_000:
            connection.execute(sql.update(known_people).where(known_people.c.id == held[person]["id"]).values(last_seen=at))


def forget_old(log: Log, school: str, before: datetime, *, but: Sequence[str] = ()) -> int:
    """Retention: people who have not signed in since, and devices that were not seen since and that nobody has described.

    `but`: pseudonyms that are held.
    """
    moment = microseconds(before)
    undescribed = sql.and_(*(table.c[name] == "" for name in FIELDS))
    old = (table.c.school == school) & (table.c.last_seen < moment) & (table.c.first_seen > 0) & undescribed
    old &= table.c.device.not_in(list(but))
    with store.changing(log) as connection:
        gone = connection.execute(sql.delete(table).where(old)).rowcount
        where = (
            (known_people.c.school == school) & (known_people.c.last_seen < moment) & known_people.c.person.not_in(list(but))
        )
        return gone + connection.execute(sql.delete(known_people).where(where)).rowcount


# --- CSV --------------------------------------------------------------------------------------------------------------


def write_csv(found: Iterable[Device], groups: Mapping[str, str]) -> str:
    """The register as a table; `groups` says which devices have a group of their own."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for each in found:
        cells = [each.mac, *(getattr(each, name) for name in FIELDS), groups.get(each.device, ""), each.told]
        times = [at.isoformat(timespec="seconds") if at else "" for at in (each.first, each.last)]
        writer.writerow([_harmless(cell) for cell in (*cells, *times, " ".join(each.addresses))])
    return text.getvalue()


def _harmless(cell: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


@dataclass(frozen=True, slots=True)
class Read:
    """A table as it was read: what is said of which devices, and which group is wished for them."""

    said: Mapping[str, Mapping[str, str]]  # by MAC
    groups: Mapping[str, str]  # by MAC, where a group stands in the table
    wrong: tuple[str, ...]  # a sentence for each line that cannot be taken


def read_csv(text: str) -> Read:
    """Columns by their names in the first line; `mac` must be there, others may be missing."""
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        header = [each.strip().lower() for each in next(lines)]
    except (StopIteration, csv.Error):
        raise ValueError("the table is empty; its first line names the columns, such as mac,name,owner") from None
    if "mac" not in header:
        raise ValueError("there is no column `mac`; the first line names the columns, such as mac,name,owner")
    said: dict[str, dict[str, str]] = {}
    groups: dict[str, str] = {}
    wrong: list[str] = []
    try:
        for n, cells in enumerate(lines, start=2):
            row = {name: cell.strip().removeprefix("'") for name, cell in zip(header, cells, strict=False)}
            if not any(row.values()):
                continue
            mac = mac_of(row.get("mac", ""))
            if not mac:
                wrong.append(f"line {n}: {row.get('mac', '')[:30]!r} is not a MAC such as 00:11:22:aa:bb:cc")
                continue
            try:
                said[mac] = _checked({name: row[name] for name in FIELDS if name in row})
            except ValueError as error:
                wrong.append(f"line {n}: {error}")
                continue
            if row.get("group"):
                groups[mac] = row["group"]
            if len(said) > MOST_ROWS:
                raise ValueError(f"a table has at most {MOST_ROWS} devices; split it")
    except csv.Error as error:
        raise ValueError(f"this is not a table: {error}") from None
    return Read(said, groups, tuple(wrong))


def take_csv(log: Log, school: str, read: Read, names: Names) -> int:
    """Into the register, devices too that were never seen; a column that the table lacks stays as it is."""
    with store.changing(log) as connection:
        asked = sql.select(table.c.device).where(table.c.school == school)
        held = set(connection.scalars(asked))
        for mac, values in read.said.items():
            device = names.of(school, "d", mac)
            fitted = {name: store.fit(table, name, value) for name, value in values.items()}
            if device not in held:
                store.add(connection, table, school=school, device=device, mac=mac, first_seen=0, last_seen=0, **fitted)
            elif fitted:
                where = (table.c.school == school) & (table.c.device == device)
                connection.execute(sql.update(table).where(where).values(**fitted))
    return len(read.said)


def narrowed(read: Read, known: Iterable[str]) -> Read:
    """Without groups that the school does not have: each is named among what is wrong."""
    known = set(known)
    strange = sorted({group for group in read.groups.values() if group not in known})
    wrong = tuple(f"there is no group {group[:40]!r}" for group in strange)
    groups = {mac: group for mac, group in read.groups.items() if group in known}
    return replace(read, groups=groups, wrong=(*read.wrong, *wrong))
