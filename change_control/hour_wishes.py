"""What people ask for about hours: timetables by which rules go, and how hours are said in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from category_lists.taxonomy import Taxonomy
from change_control.diffs import Diff, identifier, make, name_of, school_of
from policy.rules import CategoryRule, Document, SchoolPolicy, SiteRule, Timetable, Window

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class TimetableWish:
    """Add a timetable, or change the one with an id. No windows: take it away."""

    name: str
    windows: tuple[Window, ...]
    terms: tuple[tuple[date, date], ...] = ()
    timetable: str | None = None

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "timetables")
        old = [table for table in school.timetables if table.id == self.timetable]
        if self.timetable and not old:
            raise ValueError(f"there is no timetable {self.timetable[:60]!r} here")
        if not self.windows:
            if not old:
                raise ValueError("say in which hours it applies, such as Mon-Fri 12:10-13:10")
            if used := sorted(rule.change for rule in _timed(school) if rule.during == self.timetable):
                numbers = ", ".join(map(str, used))
                raise ValueError(f"rules still go by these hours (change {numbers}); take those back first")
            return make("timetable", change, remove={"timetables": old})
        if any(first > last for first, last in self.terms):
            raise ValueError("a term ends after it begins")
        name = name_of(self.name or (old[0].name if old else ""), "timetable")
        if any(table.name.lower() == name.lower() and table.id != self.timetable for table in school.timetables):
            raise ValueError(f"there is a timetable called {name} already")
        made = self.timetable or identifier(name, [table.id for table in school.timetables], change)
        new = Timetable(made, name, self.windows, tuple(sorted(self.terms)))
        if [new] == old:
            raise ValueError("these are the hours in force already")
        return make("timetable", change, add={"timetables": [new]}, remove={"timetables": old})


def _timed(school: SchoolPolicy) -> tuple[SiteRule | CategoryRule, ...]:
    return (*school.site_rules, *school.category_rules)


def hours(document: Document, timetable: str) -> str:
    """The hours of a rule, as they stand in its sentence."""
    tables = document.timetables if isinstance(document, SchoolPolicy) else ()
    table = next((one for one in tables if one.id == timetable), None)
    return f" during {table.name} ({windows_in_words(table.windows)})" if table else f" during {timetable}"


def windows_in_words(windows: Sequence[Window]) -> str:
    return ", ".join(f"{days_in_words(window.days)} {window.start} to {window.end}" for window in windows)


def days_in_words(days: Sequence[int]) -> str:
    """Monday to Friday; Monday and Wednesday."""
    found = sorted(set(days))
    if found == list(range(7)):
        return "every day"
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{DAYS[found[0]]} to {DAYS[found[-1]]}"
    return " and ".join(DAYS[day] for day in found)


def tell_timetable(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del document, taxonomy
    said = []
    for table in diff["add"].get("timetables", ()):
        windows = [Window(tuple(one["days"]), one["start"], one["end"]) for one in table["windows"]]
        text = f"{table['name']} is {windows_in_words(windows)}"
        if any(window.end <= window.start for window in windows):
            text += ", past midnight"
        if table["terms"]:
            terms = [f"{_day(first)} to {_day(last)}" for first, last in table["terms"]]
            text += f", in term time only: {'; '.join(terms)}"
        again = any(old["id"] == table["id"] for old in diff["remove"].get("timetables", ()))
        said.append(f"{text}.{' Every rule that goes by these hours follows.' if again else ''}")
    if not said:
        said = [f"The timetable {table['name']} is taken away." for table in diff["remove"].get("timetables", ())]
    return " ".join(said)


def _day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day.day} {day:%B %Y}"
