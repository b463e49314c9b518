"""`schoolgate lists import`: one list, or a whole folder or archive of them with a map of categories, as one change."""

import argparse
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from appliance.commands.words import WrongWords, config_of, data_option
from appliance.founding import Founded, open_installation
from appliance.updater import Shown, renew
from category_lists.lists import called, store_lines
from category_lists.mapping import Mapped, read_map
from category_lists.parsers import FORMATS, Report
from category_lists.sources import opened_lists, read_batches, stem_of
from category_lists.suffixes import PRIVATE, usual_exceptions
from category_lists.taxonomy import Taxonomy
from category_lists.weigh import GIVEN, VOUCHED, VOUCHING
from change_control import list_service
from change_control.list_service import Taken
from change_control.service import Asked
from change_control.tables import LogRow

ROLES = ("technician", "la_officer")  # as whom the console acts


def add(kinds: Any) -> None:
    take = kinds.add_parser("import", help="take lists in, under a standing mandate or as a request to the headteacher")
    take.add_argument("file", type=Path, metavar="FILE", help="a list, packed or not; a folder or archive of lists")
    take.add_argument("--format", required=True, choices=FORMATS)
    which = take.add_mutually_exclusive_group(required=True)
    which.add_argument("--category", help="the category of its names, such as gambling")
    which.add_argument("--map", type=Path, metavar="FILE.csv", help="source_category,school_category: many lists at once")
    take.add_argument("--source", help="which rows of the map (its column `source`); default: from the file's name")
    take.add_argument("--part", default="", help="the one list of a folder or archive that is meant, such as category-ai")
    take.add_argument("--id", help="the list's name (default: from the file's)")
    take.add_argument(
        "--allow-wide",
        action="append",
        default=[],
        metavar="NAME",
        help=f"let an entry for a whole public suffix through, such as duckdns.org; `{PRIVATE}`: all that companies hand out",
    )
    take.add_argument(
        "--no-vouching",
        action="store_true",
        help=(
            "lists of education, news, sport and the like only say what a site is; without this the headteacher is asked "
            "whether they shall also open the sites that they name where others call those games, advertising or the like"
        ),
    )
    data_option(take)
    take.set_defaults(run=run)


def say(text: str) -> None:
    """Progress, where a person watches."""
    if sys.stderr.isatty():
        print(f"\r  {text:<76}", end="", file=sys.stderr, flush=True)


def hush() -> None:
    if sys.stderr.isatty():
        print(f"\r{'':<80}\r", end="", file=sys.stderr, flush=True)


def run(words: argparse.Namespace) -> int:
    config = config_of(words)
    with open_installation(config.data, config.desk_database) as founded:
        return _import(founded, words)


def _import(founded: Founded, words: argparse.Namespace) -> int:
    with founded.store.read() as session:
        force = founded.office.book(session, founded.office.key.authority).in_force()
        if force is None:
            raise LookupError("the authority has no policy yet")
        taxonomy = founded.office.taxonomy(force)
    importing = Importing(founded, words, taxonomy, force.document.dictionary)
    taken = list(importing.mapped() if words.map else importing.single())
    hush()
    for line in accept(founded, taken):
        print(line)
    hush()
    return 0


class Importing:
    """One run of the command: from files to kept lists."""

    def __init__(self, founded: Founded, words: argparse.Namespace, taxonomy: Taxonomy, dictionary: str) -> None:
        self._founded, self._words, self._taxonomy, self._dictionary = founded, words, taxonomy, dictionary

    def single(self) -> Iterator[Taken]:
        words = self._words
        category = words.category
        self._check(category)
        stem = words.part or stem_of(words.file.name)
        name = words.id or _identifier(f"{stem.partition('.')[0]}-{category}")
        yield from self._keep(name, category, read_batches(words.file, words.format, part=words.part))

    def mapped(self) -> Iterator[Taken]:
        words = self._words
        source = words.source or stem_of(words.file.name).partition(".")[0].lower()
        mapped = read_map(words.map, source, self._taxonomy.categories)
        with opened_lists(words.file, words.format) as lists:
            plan = [(part, mapped.category(part)) for part in sorted(lists.parts) if not words.part or part == words.part]
            self._tell_unmapped(plan, mapped)
            for part, category in plan:
                if category is None or self._taxonomy.categories[category].locked:
                    continue
                try:
                    yield from self._keep(_identifier(f"{source}-{part}"), category, lists.batches(part))
                except ValueError as error:
                    print(f"{part}: not taken: {error}")

    def _tell_unmapped(self, plan: Sequence[tuple[str, str | None]], mapped: Mapped) -> None:
        without = [part for part, category in plan if category is None]
        if without and len(without) < len(plan):
            some = ", ".join(without[:12]) + ("…" if len(without) > 12 else "")
            print(f"{len(without)} of {len(plan)} lists are in no category of the map and were left out: {some}")
        elif without:
            there = ", ".join(sorted(mapped.exact)[:12])
            raise ValueError(f"none of the {len(plan)} lists here is in the map; it names {there}…")

    def _check(self, category: str) -> None:
        known = self._taxonomy.categories.get(category)
        if known is None:
            raise WrongWords(f"there is no category {category!r}; `schoolgate lists status` names those in use")
        if known.locked:
            raise ValueError(f"{known.name} comes only as a licensed, sealed bundle (`schoolgate lists seal`), not as a list")

    def _keep(self, name: str, category: str, batches: Iterator[list[bytes]]) -> Iterator[Taken]:
        """A list, and the same as one that vouches, if it could: the headteacher is asked for that one."""
        office, words = self._founded.office, self._words
        if name.startswith(GIVEN):
            raise WrongWords(
                f"names beginning with {', '.join(map(repr, GIVEN))} are given by the product; choose another --id"
            )
        wide: Collection[str] = {*words.allow_wide, *usual_exceptions(category)}
        version, report = store_lines(
            office.dictionaries.lists,
            batches,
            source=words.file.name,
            list_id=name,
            category=category,
            format=words.format,
            at=datetime.now(UTC),
            allow_wide=wide,
            protected=office.dictionaries.protected(self._dictionary, self._taxonomy.categories[category]),
            progress=Shown(say, f"reading {name}", "lines"),
        )
        hush()
        _tell(name, version.entries, version.version, report, brief=bool(words.map))
        yield Taken(version, report.exceptions)
        if category in VOUCHED and not words.no_vouching:
            yield Taken(called(office.dictionaries.lists, version, f"{VOUCHING}{name}"[:64]), report.exceptions)


def _tell(name: str, entries: int, version: str, report: Report, *, brief: bool) -> None:
    lines = "line" if report.refused == 1 else "lines"
    print(f"{name}: {entries:,} entries taken, {report.refused:,} {lines} refused, version {version}")
    if report.set_aside:
        what = "entry" if report.set_aside == 1 else "entries"
        print(f"  {report.set_aside:,} {what} set aside, because they would take away what must stay open:")
        for one in report.aside_examples[: 3 if brief else None]:
            print(f"    line {one.line}: {one.text}: {one.why}")
    for refused in report.examples[: 0 if brief else None]:
        print(f"  line {refused.line}: {refused.text}: {refused.why}")


def accept(founded: Founded, taken: Sequence[Taken]) -> Iterator[str]:
    """Take kept lists in at the authority and at every school, and say what came of it at each."""
    office = founded.office
    with founded.store.read() as session:
        logs = list(session.execute(select(LogRow.id, LogRow.name).order_by(LogRow.tier, LogRow.id)))
    for log, name in logs:
        with founded.store.read() as session:
            force = office.book(session, log).in_force()
        if force is None:
            continue
        list_service.prepare(office, force.document.dictionary, taken, Shown(say, f"compiling for {name}", "names"))
        hush()
        with founded.store.write() as session:
            asked = list_service.accept_all(office, session, log, taken, by=None, roles=ROLES)
        if any(one.in_force for one in asked):
            renew(founded, log)
        yield from (_said(name, one) for one in asked)
        if not asked:
            yield f"  {name}: in force as it is already"
    founded.publish()


def _said(name: str, asked: Asked) -> str:
    if asked.in_force and asked.change.ratify_by:
        return f"  {name}: in force now as change {asked.change.id}, to be ratified by {asked.change.ratify_by:%-d %B %Y}"
    return f"  {name}: change {asked.change.id} waits for approval ({asked.waits_because})"


def _identifier(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:64] or "list"
