"""Hours and terms as people write them: "Mon-Fri 12:10-13:10", "03/09/2026 to 23/10/2026"."""

import re
from collections.abc import Sequence
from datetime import date

from admin_api import words
from admin_api.forms import last_moment
from category_lists.names import shown
from change_control.hour_wishes import DAYS
from policy.rules import Window

SHORT = tuple(day[:3].lower() for day in DAYS)


def read_hours(text: str) -> tuple[Window, ...]:
    """Windows from lines such as "Mon-Fri 12:10-13:10" or "Sat, Sun 22:00-06:00"."""
    windows = [_window(line) for line in re.split(r"[\n;]+", text) if line.strip()]
    if not windows:
        raise ValueError("say in which hours, such as Mon-Fri 12:10-13:10")
    if len(windows) > 20:
        raise ValueError("at most 20 lines of hours")
    return tuple(windows)


def _window(line: str) -> Window:
    found = re.fullmatch(r"\s*(.*?)\s*(\d{1,2}[:.]\d{2})\s*(?:-|–|to)\s*(\d{1,2}[:.]\d{2})\s*", line)
    if not found:
        raise ValueError(f"{shown(line, 40)} is not a line of hours; write it as Mon-Fri 12:10-13:10")
    start, end = (time.replace(".", ":").rjust(5, "0") for time in (found[2], found[3]))
    if start == end:
        raise ValueError(f"{shown(line, 40)} begins and ends at the same time")
    try:
        return Window(_days(found[1]), _of_day(start), _of_day(end))
    except ValueError:
        raise ValueError(f"{shown(line, 40)} is not a line of hours; write it as Mon-Fri 12:10-13:10") from None


def _of_day(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError(text)
    return text


def _days(text: str) -> tuple[int, ...]:
    text = text.lower().replace("–", "-").strip(" ,")
    if text in {"", "every day", "daily"}:
        return tuple(range(7))
    days: set[int] = set()
    for part in re.split(r"\s*(?:,|and|&)\s*", text):
        first, dash, last = (piece.strip() for piece in re.sub(r"\s+to\s+", "-", part).partition("-"))
        start = _weekday(first)
        end = _weekday(last) if dash else start
        days |= set(range(start, end + 1)) if start <= end else set(range(start, 7)) | set(range(end + 1))
    return tuple(sorted(days))


def _weekday(text: str) -> int:
    if len(text) < 3 or not any(day.lower().startswith(text) for day in DAYS):
        raise ValueError(text)
    return SHORT.index(text[:3])


def read_terms(text: str) -> tuple[tuple[date, date], ...]:
    """Terms from lines such as "2026-09-03 to 2026-10-23"; none: all year."""
    return tuple(_term(line) for line in re.split(r"[\n;]+", text) if line.strip())


def _term(line: str) -> tuple[date, date]:
    first, _, last = re.sub(r"\s+(?:to|-|–|until)\s+", "|", line.strip()).partition("|")
    begins, ends = last_moment(first, words.ZONE), last_moment(last, words.ZONE)
    if begins is None or ends is None:
        raise ValueError(f"{shown(line, 40)} is not a term; write it as 03/09/2026 to 23/10/2026")
    if begins > ends:
        raise ValueError(f"{shown(line, 40)} ends before it begins")
    return words.local(begins).date(), words.local(ends).date()


def hours_typed(windows: Sequence[Window]) -> str:
    """Windows as they are typed."""
    return "\n".join(f"{', '.join(DAYS[day][:3] for day in window.days)} {window.start}-{window.end}" for window in windows)


def terms_typed(terms: Sequence[tuple[date, date]]) -> str:
    """Terms as they are typed."""
    return "\n".join(f"{first:%d/%m/%Y} to {last:%d/%m/%Y}" for first, last in terms)
