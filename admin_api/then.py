"""The time machine in words: each rule that was in force, and who authorised it. For the page, the API and the command."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from admin_api import words
from admin_api.telling import names
from category_lists.taxonomy import Taxonomy
from change_control import changes
from change_control.history import Line, Then
from policy.words import uk_end


@dataclass(frozen=True, slots=True)
class Said:
    """One rule for a page."""

    sentence: str
    entry: int
    at: datetime
    change: int | None
    authorised: str


def said(session: Session, found: Then, lines: Iterable[Line], taxonomy: Taxonomy) -> tuple[Said, ...]:
    """Rules first, in the order of their entries."""
    lines = sorted(lines, key=lambda one: (one.collection in {"groups", "networks"}, one.entry, str(one.value["id"])))
    who = names(session, {person for line in lines for person, _ in line.signed})
    return tuple(
        Said(_sentence(line, found, taxonomy), line.entry, line.at, line.change, _authorised(line, who)) for line in lines
    )


def _sentence(line: Line, found: Then, taxonomy: Taxonomy) -> str:
    value = line.value
    if line.collection == "groups":
        search = "safe search forced on" if value.get("safe_search") else "without safe search"
        return f"{value['name']} is a group with what is usual for {value['phase']}, {search}."
    return changes.sentence(line.diff, found.document, taxonomy) or f"{line.collection}: {value['id']}"


def _authorised(line: Line, who: Mapping[str, str]) -> str:
    if line.entry == 0:
        return "from the beginning, before there was a headteacher"
    text = " and ".join(
        dict.fromkeys(f"{who.get(person, 'someone')} ({words.FACTORS.get(factor, factor)})" for person, factor in line.signed)
    )
    text = f"signed by {text}" if text else "not signed by itself"
    if "delegation" in line.rests_on:
        text += f", under the delegation in entry {line.rests_on['delegation']}"
    if "mandate" in line.rests_on:
        text += f", under the standing mandate in entry {line.rests_on['mandate']}"
        text += f", ratified in entry {line.ratified}" if line.ratified is not None else ", not ratified by then"
    return text


def proof(found: Then) -> tuple[str, ...]:
    """What ties it to the log, in lines that can be compared with an export's."""
    return (
        f"Entry {found.entry} of {uk_end(found.since)} put it in force.",
        f"The policy’s SHA-256: {found.digest}",
        f"Proven in the tree of {found.checkpoint.size} entries whose root is {found.checkpoint.root.hex()}",
    )
