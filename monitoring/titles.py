"""What pages call themselves, put beside the lines of those pages, and into the captures that show them.

A page is recorded when it is asked for, so that no death of a worker loses it; what it calls itself is known only once it has
been read. So the title comes later, as a record of its own (`Kind.TITLE`) of the same worker and the same moment, and becomes
part of the page's line: in the same batch before anything is stored, later in the line that is stored. It is counted as
nothing of its own, goes when the line goes, and where the line is gone already it is not kept either.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sql

from monitoring.tables import SIZES, captures, clean, events
from policy.event import Event, Kind

type Late = Mapping[tuple[int, str, str, str], str]  # moment, school, host and worker of a page -> its title

MOST = 20  # titles that a capture keeps
LONGEST_SAID = 200  # characters of what was done before or after
MOST_AWAITED, PATIENCE = 500, 60_000_000  # pages, and microseconds: no page takes longer to come
READ = frozenset({Kind.PAGE, Kind.SEARCH})  # what is opened and read, and so may have a title


def joined(recorded: Sequence[Event]) -> tuple[Sequence[Event], Late]:
    """The events, those that came with their titles having them, and the titles of events that came before."""
    if not any(event.kind == Kind.TITLE for event in recorded):
        return recorded, {}
    called = {_page(event): event.title for event in recorded if event.kind == Kind.TITLE}
    whole: list[Event] = []
    found = set()
    for event in recorded:
        if event.kind in READ and not event.title and (title := called.get(page := _page(event))):
            found.add(page)
            whole.append(event._replace(title=title))
        elif event.kind != Kind.TITLE:
            whole.append(event)
    return whole, {page: title for page, title in called.items() if page not in found}


def add(connection: sql.Connection, late: Late) -> None:
    """Titles of lines that are stored."""
    if not late:
        return
    line = events.c
    adding = (
        sql.update(events)
        .where(line.school == sql.bindparam("of_school"), line.at == sql.bindparam("of_at"))
        .where(line.host == sql.bindparam("of_host"), line.worker == sql.bindparam("of_worker"))
        .where((line.kind == Kind.PAGE) | (line.kind == Kind.SEARCH))
        .values(title=sql.bindparam("called"))
    )
    rows = [
        {
            "of_at": at, "of_school": clean(school, SIZES["school"]), "of_host": clean(host, SIZES["host"]),
            "of_worker": clean(worker, SIZES["worker"]), "called": clean(title, SIZES["title"]),
        }
        for (at, school, host, worker), title in late.items()
    ]  # fmt: skip
    connection.execute(adding, rows)


def beside(said: str, title: str) -> str:
    """A page or search as one reads it, with what it calls itself."""
    return f"{said} “{title}”" if title else said


class Awaited:
    """Pages that a capture shows, and whose titles are not here yet. Lost with its process, which costs a title or two."""

    def __init__(self) -> None:
        self._of: dict[int, list[tuple[int, str]]] = {}  # an event -> captures, and what of it each shows
        self._at: dict[int, int] = {}

    def add(self, row: Mapping[str, Any], capture: int, said: str = "") -> None:
        if row["title"] or row["kind"] not in READ or row["handling"] != "inspect":
            return  # what is not opened is not read
        self._of.setdefault(row["id"], []).append((capture, said))
        self._at[row["id"]] = row["at"]
        old = [event for event, at in self._at.items() if at < row["at"] - PATIENCE]
        for event in (*old, *list(self._of)[:-MOST_AWAITED]):
            self._of.pop(event, None)
            self._at.pop(event, None)

    def settle(self, connection: sql.Connection) -> None:
        """Put what has come since beside what it is of."""
        if not self._of:
            return
        asked = sql.select(events.c.id, events.c.title).where(events.c.id.in_(list(self._of)), events.c.title != "")
        for event, title in connection.execute(asked).all():
            self._at.pop(event)
            for capture, said in self._of.pop(event):
                one = captures.c.id == capture
                context = json.loads(connection.scalar(sql.select(captures.c.context).where(one)) or "{}")
                if said:
                    whole = beside(said, title)[:LONGEST_SAID]
                    context["after"] = [whole if each == said[:LONGEST_SAID] else each for each in context.get("after", ())]
                else:
                    context["titles"] = among(context, title)
                connection.execute(sql.update(captures).where(one).values(context=json.dumps(context)))


def among(context: Mapping[str, Any], title: str) -> list[str]:
    """The titles of what was captured, with this one."""
    known = list(context.get("titles", ()))
    return known if not title or title in known else [*known, title][:MOST]


def _page(event: Event) -> tuple[int, str, str, str]:
    return int(event.at * 1_000_000), event.school, event.host, event.worker
