"""The log for other programs: CSV that no spreadsheet runs, JSON Lines, and RFC 5424 for a syslog server."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from monitoring.lines import Line

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what spreadsheets take for the start of a formula
# What makes text run the other way or hides it: shown by its number, so that a cell says what it holds.
UNSEEN = {code: f"[U+{code:04X}]" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)}
FACILITY, SEVERITY = 13, {"block": 4, "warn": 5}  # log audit; warning, notice, else informational


def cell(value: object) -> str:
    """A value as a cell that is only ever text."""
    text = "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)
    text = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode().translate(UNSEEN)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def sheet(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """CSV as RFC 4180 has it, line by line."""
    yield _row(head)
    for row in rows:
        yield _row(row)


def _row(row: Sequence[object]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([cell(value) for value in row])
    return written.getvalue()


def json_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        yield json.dumps(plain, ensure_ascii=True, separators=(",", ":")) + "\n"


def fields(line: Line, who: Callable[[Line], str], *, named: bool) -> Mapping[str, Any]:
    """A line as it leaves the house: under its pseudonym, and with device, address and title only where the name is shown.

    A page of somebody's own account has her name in its title, which would tell whose the pseudonym is.
    """
    said = {name: getattr(line, name) for name in line.__slots__ if name not in {"id", "person", "device", "address"}}
    said["title"] = line.title if named else ""
    shown = {name: getattr(line, name) for name in ("person", "device", "address")} if named else {}
    return {"at": said.pop("at"), "who": who(line), **shown, **said}


def syslog(line: Line, who: str, host: str = "schoolgate", *, named: bool = False) -> str:
    """One line as RFC 5424, its fields as structured data, with its title as in `fields`. No line break can stand in it."""
    at = line.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    said = {
        "school": line.school, "group": line.group, "who": who, "by": line.identified_by, "kind": line.kind,
        "host": line.host,
        "path": line.path, "term": line.term, "title": line.title if named else "",
        "action": line.action, "reason": line.reason,
        "category": line.category, "rule": line.rule, "change": str(line.change or ""), "count": str(line.count),
    }  # fmt: skip
    data = " ".join(f'{name}="{_param(value)}"' for name, value in said.items() if value)
    priority = FACILITY * 8 + SEVERITY.get(line.action, 6)
    return f"<{priority}>1 {at} {host} schoolgate - filter [filter@32473 {data}] {_plain(line.action or line.kind)}"


def _param(text: str) -> str:
    text = _plain(text)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _plain(text: str) -> str:
    return "".join(" " if ord(letter) < 32 or ord(letter) == 127 else letter for letter in text.translate(UNSEEN))
