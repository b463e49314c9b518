"""More kinds of change: hours, groups, safe search, what is never inspected, coursework, and suspensions.

Each is a *wish* that becomes a diff, and a teller that says the diff in plain words (see changes.py).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal, get_args

from category_lists.names import canonical_site
from category_lists.taxonomy import Taxonomy
from change_control.diffs import Diff, check_groups, make, school_of, who
from policy import tenants
from policy.rules import (
    Action,
    AlertRule,
    Document,
    Group,
    ListedSite,
    Look,
    Phase,
    SchoolPolicy,
    Sign,
    SiteRule,
    Suspension,
    Timetable,
    UnknownRule,
    Video,
    Window,
    Wording,
)
from policy.snapshot import USUAL_LOOKS
from policy.words import uk_date, uk_end

type Teller = Callable[[Diff, Document, Taxonomy], str]
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PHASES: tuple[str, ...] = get_args(Phase)


def _name(text: str, what: str) -> str:
    text = " ".join(text.split())
    if not 2 <= len(text) <= 60:
        raise ValueError(f"give the {what} a name of 2 to 60 letters")
    return text


def _identifier(name: str, taken: Sequence[str], change: int) -> str:
    made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or f"c{change}"
    return made if made not in taken else f"{made}-{change}"


# --- hours ----------------------------------------------------------------------------------------------------------------


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
        name = _name(self.name or (old[0].name if old else ""), "timetable")
        if any(table.name.lower() == name.lower() and table.id != self.timetable for table in school.timetables):
            raise ValueError(f"there is a timetable called {name} already")
        made = self.timetable or _identifier(name, [table.id for table in school.timetables], change)
        new = Timetable(made, name, self.windows, tuple(sorted(self.terms)))
        if [new] == old:
            raise ValueError("these are the hours in force already")
        return make("timetable", change, add={"timetables": [new]}, remove={"timetables": old})


def _timed(school: SchoolPolicy) -> tuple[Any, ...]:
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


def _tell_timetable(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
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


# --- groups and their settings --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GroupWish:
    """Add a group, or give the one with an id another name or phase."""

    name: str
    phase: str
    group: str | None = None

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "groups")
        if self.phase not in PHASES:
            raise ValueError(f"there is no phase {self.phase[:40]!r}; there are: {', '.join(PHASES)}")
        name = _name(self.name, "group")
        if any(group.name.lower() == name.lower() and group.id != self.group for group in school.groups):
            raise ValueError(f"there is a group called {name} already")
        phase: Phase = self.phase  # type: ignore[assignment]  # looked up above
        if not self.group:
            made = _identifier(name, [group.id for group in school.groups], change)
            return make("group", change, add={"groups": [Group(made, name, phase)]})
        old = _group(school, self.group)
        new = replace(old, name=name, phase=phase)
        if new == old:
            raise ValueError("the group has this name and phase already")
        return make("group", change, add={"groups": [new]}, remove={"groups": [old]})


@dataclass(frozen=True, slots=True)
class SafetyWish:
    """Force safe search on for a group, or not; and how video sites are restricted, which else goes with it."""

    group: str
    safe_search: bool
    video: str = ""

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        old = _group(school_of(document, "groups"), self.group)
        if self.video not in VIDEO_WORDS:
            raise ValueError(f"video sites are held strict, moderate or off, not {self.video[:20]!r}")
        video: Video = self.video  # type: ignore[assignment]  # looked up above
        new = replace(old, safe_search=self.safe_search, video=video)
        if new == old:
            raise ValueError("this is how it is set already")
        return make("safety", change, add={"groups": [new]}, remove={"groups": [old]})


@dataclass(frozen=True, slots=True)
class InspectionWish:
    """What is looked into for a group of sites that are simply open, and what follows from the words that are seen there."""

    group: str
    looks: tuple[str, ...] = ()  # none: as usual
    wording: str = ""

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        old = _group(school_of(document, "groups"), self.group)
        if strange := [one for one in self.looks if one not in LOOK_WORDS]:
            raise ValueError(f"what is looked into is search, video, unknown, all or none, not {strange[0][:20]!r}")
        if len(self.looks) > 1 and "none" in self.looks:
            raise ValueError("either none of these, or some")
        if self.wording not in WORDING_WORDS:
            raise ValueError(f"words may block, tell or be off, not {self.wording[:20]!r}")
        chosen = ("all",) if "all" in self.looks else tuple(sorted(set(self.looks)))
        looks: tuple[Look, ...] = chosen  # type: ignore[assignment]  # looked up above
        wording: Wording = self.wording  # type: ignore[assignment]  # the same
        new = replace(old, looks=() if looks == tuple(sorted(USUAL_LOOKS)) else looks, wording=wording)
        if new == old:
            raise ValueError("this is how it is set already")
        return make("inspection", change, add={"groups": [new]}, remove={"groups": [old]})


@dataclass(frozen=True, slots=True)
class TenantsWish:
    """Whose Google and Microsoft accounts may sign in at school; none: everyone's."""

    google: str = ""
    microsoft: str = ""
    directory: str = ""

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "accounts")
        new = {
            "google_domains": tenants.domains(self.google),
            "microsoft_tenants": tenants.domains(self.microsoft),
            "microsoft_directory": tenants.directory(self.directory),
        }
        if bool(new["microsoft_tenants"]) != bool(new["microsoft_directory"]):
            raise ValueError("for Microsoft, give both the domains and the directory's number, or neither")
        values = {name: (getattr(school, name), value) for name, value in new.items() if getattr(school, name) != value}
        if not values:
            raise ValueError("this is how it is set already")
        return make("tenants", change, values=values)


def _group(school: SchoolPolicy, group: str) -> Group:
    check_groups(school, (group,))
    return next(one for one in school.groups if one.id == group)


@dataclass(frozen=True, slots=True)
class AnswerWish:
    """What the resolver says for a blocked name, for the whole school."""

    answer: str

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "this setting")
        if self.answer not in ANSWER_WORDS:
            raise ValueError(f"a blocked name is answered {', '.join(ANSWER_WORDS)}, not {self.answer[:20]!r}")
        if self.answer == school.blocked_answer:
            raise ValueError("this is how blocked names are answered already")
        return make("answer", change, values={"blocked_answer": (school.blocked_answer, self.answer)})


ANSWER_WORDS = {
    "page": "leads to the page that says so",
    "nxdomain": "is answered as if it did not exist",
    "null": "leads nowhere, to the address 0.0.0.0",
}


def _tell_answer(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    old, new = diff["set"]["blocked_answer"]
    return f"At {document.name}, a blocked name {ANSWER_WORDS[new]}; until now it {ANSWER_WORDS[old]}."


PHASE_WORDS = {
    "early-years": "early years",
    "ks1": "key stage 1",
    "ks2": "key stage 2",
    "ks3": "key stage 3",
    "ks4": "key stage 4",
    "sixth-form": "the sixth form",
    "staff": "staff",
    "guest": "guests",
}


def _tell_group(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del document, taxonomy
    before = {group["id"]: group for group in diff["remove"].get("groups", ())}
    said = []
    for group in diff["add"].get("groups", ()):
        old = before.get(group["id"])
        if old is None:
            said.append(f"A group {group['name']} begins, with what is usual for {PHASE_WORDS[group['phase']]}.")
            continue
        if old["name"] != group["name"]:
            said.append(f"The group {old['name']} is called {group['name']}.")
        if old["phase"] != group["phase"]:
            said.append(
                f"{group['name']} gets what is usual for {PHASE_WORDS[group['phase']]}, "
                f"no longer for {PHASE_WORDS[old['phase']]}."
            )
    return " ".join(said)


VIDEO_WORDS = {
    "": "",
    "strict": "; video sites show only what suits all pupils",
    "moderate": "; video sites leave out what is for adults",
    "off": "; video sites show everything",
}


def _tell_safety(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del document, taxonomy
    said = []
    for group in diff["add"].get("groups", ()):
        how = "has safe search and restricted video forced on" if group["safe_search"] else "may search without safe search"
        said.append(f"The group {group['name']} {how}{VIDEO_WORDS[group.get('video', '')]}.")
    return " ".join(said)


def _tell_tenants(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    said = []
    for name, brand in (("google_domains", "Google"), ("microsoft_tenants", "Microsoft")):
        if name in diff["set"]:
            allowed = " and ".join(diff["set"][name][1].split(","))
            whose = f"only accounts of {allowed} may sign in" if allowed else "anyone's account may sign in"
            said.append(f"At {brand}, {whose} from {document.name}.")
    return " ".join(said) or f"The number of {document.name} at Microsoft is corrected."


LOOK_WORDS = {
    "search": "search engines",
    "video": "video sites",
    "unknown": "sites that no list knows",
    "all": "every site that is not private",
    "none": "none",
}
WORDING_WORDS = {
    "": "",
    "block": " Words in searches and pages count as a category does, and can block.",
    "tell": " Words in searches and pages are noted in the filter log and block nothing.",
    "off": " Words in searches and pages are not judged.",
}


def _tell_inspection(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del document, taxonomy
    said = []
    for group in diff["add"].get("groups", ()):
        what = _look_words(group.get("looks", ()))
        said.append(f"For the group {group['name']}, {what}.{WORDING_WORDS[group.get('wording', '')]}")
    return " ".join(said)


def looked_into(group: Group) -> str:
    """What is looked into for a group and what follows from it, in words."""
    return _look_words(group.looks) + "." + WORDING_WORDS[group.wording]


def _look_words(looks: Sequence[str]) -> str:
    chosen = looks or USUAL_LOOKS
    if "none" in chosen:
        return "open sites are looked into only where a rule needs it"
    *some, last = [LOOK_WORDS[one] for one in chosen]
    what = f"{', '.join(some)} and {last}" if some else last
    return f"the content of {what} is looked into"


# --- short lists of sites -------------------------------------------------------------------------------------------------

type ShortList = Literal["never_inspect", "coursework"]


@dataclass(frozen=True, slots=True)
class ListedWish:
    """Put a site on one of the school's short lists, or take it off."""

    collection: ShortList
    site: str
    gone: bool = False

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "these lists")
        site = canonical_site(self.site)
        if (site.path or "/") != "/" or site.query:
            raise ValueError("this list holds whole sites; leave out what follows the name")
        listed: tuple[ListedSite, ...] = getattr(school, self.collection)
        old = [one for one in listed if one.host == site.host]
        if self.gone:
            if not old:
                raise ValueError(f"{site.host} is not on this list")
            return make(self.collection, change, remove={self.collection: old})
        if old:
            raise ValueError(f"{site.host} is on this list already")
        letter = "i" if self.collection == "never_inspect" else "w"
        return make(self.collection, change, add={self.collection: [ListedSite(f"{letter}{change}", site.host, change)]})


def _tell_never_inspect(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    added = [site["host"] for site in diff["add"].get("never_inspect", ())]
    gone = [site["host"] for site in diff["remove"].get("never_inspect", ())]
    said = [
        f"The content of {host} is never looked into for anyone at {document.name}: no page warnings, no search words, "
        "no rules about parts of it."
        for host in added
    ]
    return " ".join([*said, *(f"The content of {host} is looked into again." for host in gone)])


def _tell_coursework(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del document, taxonomy
    added = [site["host"] for site in diff["add"].get("coursework", ())]
    gone = [site["host"] for site in diff["remove"].get("coursework", ())]
    said = [f"{host} stays as it is for those whose internet access is suspended." for host in added]
    return " ".join([*said, *(f"{host} is no longer kept from a suspension." for host in gone)])


# --- platforms that the school decides to use ------------------------------------------------------------------------------

type Platform = Literal["video_site", "platform"]


@dataclass(frozen=True, slots=True)
class PlatformWish:
    """Approve a video site, or sanction a social or chat platform, for some groups until a date."""

    kind: Platform
    site: str
    groups: tuple[str, ...]
    until: datetime

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "approved platforms")
        check_groups(school, self.groups)
        site = canonical_site(self.site)
        if site.query:
            raise ValueError("leave out what follows the question mark")
        path = (site.path or "").rstrip("/")
        groups = tuple(sorted(self.groups))
        rule = SiteRule(f"s{change}", site.host, Action.ALLOW, change, path, groups, until=self.until)
        return make(self.kind, change, add={"site_rules": [rule]})


def _tell_platform(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    what = {
        "video_site": "an approved video site",
        "platform": "a platform that the school sanctions. What is written there is not read",
    }[diff["kind"]]
    return " ".join(
        f"{who(document, rule['groups'])} may use {rule['host']}{rule['path']} until {uk_end(_at(rule['until']))}: {what}."
        for rule in diff["add"].get("site_rules", ())
    )


# --- suspensions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SuspensionWish:
    """Take the internet, but for coursework, from some groups or one person until an instant."""

    until: datetime
    groups: tuple[str, ...] = ()
    person: str | None = None
    starts: datetime | None = None

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "suspensions")
        if bool(self.groups) == bool(self.person):
            raise ValueError("say whose access is suspended: some groups, or one person")
        check_groups(school, self.groups)
        if self.starts is not None and self.starts >= self.until:
            raise ValueError("a suspension ends after it begins")
        made = Suspension(f"x{change}", change, self.until, self.starts, tuple(sorted(self.groups)), self.person)
        return make("suspension", change, add={"suspensions": [made]})


def _tell_suspension(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    kept = [site.host for site in document.coursework] if isinstance(document, SchoolPolicy) else []
    left = f"Coursework stays open: {', '.join(kept)}." if kept else "The coursework list is empty, so nothing stays open."
    said = []
    for one in diff["add"].get("suspensions", ()):
        whom = f"The person {one['person']}" if one["person"] else who(document, one["groups"])
        begins = f" from {uk_date(_at(one['starts']))}" if one["starts"] else ""
        said.append(f"{whom} may not use the internet{begins} until {uk_end(_at(one['until']))}. It ends by itself. {left}")
    return " ".join(said)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- what becomes a capture -----------------------------------------------------------------------------------------------

# Named here as well, since monitoring and change control do not know each other; a test compares them.
ALERT_THEMES: Mapping[str, str] = {
    "self-harm": "Self-harm, suicide and eating disorders",
    "exploitation": "Sexual exploitation and abuse",
    "family": "Trouble at home",
    "prevent": "Extremism (Prevent)",
    "violence": "Violence and weapons",
    "bullying": "Bullying",
    "hate": "Hate and discrimination",
    "drugs": "Drugs and alcohol",
    "pornography": "Pornography",
    "gambling": "Gambling",
    "misinformation": "Misinformation",
    "bypass": "Ways round the filter",
    "scams": "Scams and buying",
    "off-task": "Off task",
}
ALERT_ROUTES: Mapping[str, str] = {
    "urgent": "are told to the DSL at once",
    "review": "wait at the desk for review",
    "weekly": "stand in the weekly report",
    "off": "are no longer captured",
}


@dataclass(frozen=True, slots=True)
class AlertWish:
    """Watch for a word, let a word mean no harm, or say where a theme goes; or take such a rule away."""

    does: Literal["watch", "ignore", "route"]
    theme: str = ""
    phrase: str = ""
    route: Literal["", "off", "weekly", "review", "urgent"] = ""
    groups: tuple[str, ...] = ()
    gone: str | None = None  # the rule that goes

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "alert rules")
        if self.gone:
            old = [one for one in school.alert_rules if one.id == self.gone]
            if not old:
                raise ValueError(f"there is no alert rule {self.gone[:60]!r} here")
            return make("alert_rules", change, remove={"alert_rules": old})
        check_groups(school, self.groups)
        phrase = " ".join(self.phrase.split()).lower()
        if self.theme and self.theme not in ALERT_THEMES:
            raise ValueError(f"there is no theme {self.theme[:40]!r}; there are: {', '.join(ALERT_THEMES)}")
        if self.does != "ignore" and not self.theme:
            raise ValueError("choose the theme that this is about")
        if self.does != "route" and not 2 <= len(phrase) <= 80:
            raise ValueError("give the word or words, 2 to 80 letters")
        if self.does == "watch" and self.route not in {"weekly", "review", "urgent"}:
            raise ValueError("choose where captures of this word go")
        if self.does == "route" and self.route not in ALERT_ROUTES:
            raise ValueError("choose where captures of this theme go")
        made = AlertRule(
            f"a{change}",
            change,
            self.does,
            self.theme,
            "" if self.does == "route" else phrase,
            "" if self.does == "ignore" else self.route,
            tuple(sorted(self.groups)),
        )
        same = [
            one
            for one in school.alert_rules
            if (one.does, one.theme, one.phrase, one.groups) == (made.does, made.theme, made.phrase, made.groups)
        ]
        if any(one.route == made.route for one in same):
            raise ValueError("this is how it is set already")
        return make("alert_rules", change, add={"alert_rules": [made]}, remove={"alert_rules": same})


def _tell_alert_rules(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    said = [_alert_sentence(rule, document) for rule in diff["add"].get("alert_rules", ())]
    if not said:
        gone = diff["remove"].get("alert_rules", ())
        said = [f"No longer: {_alert_sentence(rule, document)}" for rule in gone]
    return " ".join(said)


def _alert_sentence(rule: Mapping[str, Any], document: Document) -> str:
    whom = who(document, rule["groups"])
    theme = ALERT_THEMES.get(rule["theme"], rule["theme"])
    if rule["does"] == "watch":
        return f"{whom}: searches with “{rule['phrase']}” are captured as {theme} and {ALERT_ROUTES[rule['route']]}."
    if rule["does"] == "ignore":
        about = f" as {theme}" if theme else ""
        return f"{whom}: searches with “{rule['phrase']}” are no longer captured{about}. What is blocked stays blocked."
    return f"{whom}: captures of the theme {theme} {ALERT_ROUTES[rule['route']]}."


@dataclass(frozen=True, slots=True)
class HeadWish:
    """Another headteacher: signed by the LA officer and a second person. Until she enrols, the one before her stays."""

    leaves: tuple[str, ...] = ()  # pseudonyms, filled in by change control

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school_of(document, "headteachers")
        return {**make("head", change), "leaves": list(self.leaves)}


def _tell_head(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy, diff
    return (
        f"{document.name} gets another headteacher. Whoever holds the role now loses it when the new one enrols; "
        "what she signed stays signed."
    )


@dataclass(frozen=True, slots=True)
class UnknownWish:
    """Say what happens to names that no list knows, or to those of them that bear a sign; replaces what was said of it."""

    sign: str
    action: Action
    groups: tuple[str, ...] = ()
    until: datetime | None = None

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "these rules")
        check_groups(document, self.groups)
        if self.sign not in SIGNS:
            raise ValueError(f"there is no sign {self.sign[:40]!r}; there are: {', '.join(SIGNS)}")
        sign: Sign = self.sign  # type: ignore[assignment]  # looked up above
        groups = tuple(sorted(self.groups))
        new = UnknownRule(f"u{change}", sign, Action(self.action), change, groups, self.until)
        held = [old for old in school.unknown_rules if (old.sign, old.groups) == (sign, groups)]
        if any((old.action, old.until) == (new.action, new.until) for old in held):
            raise ValueError("this is how it is set already")
        return make("unknown", change, add={"unknown_rules": [new]}, remove={"unknown_rules": held})


SIGNS: Mapping[str, str] = {
    "any": "sites that no list knows",
    "looks_harmful": "sites that no list knows and whose names look like something that is closed to them",
    "generated": "sites that no list knows and whose names look made up by a program",
}
_MAY = {Action.ALLOW: "may open", Action.WARN: "will see a warning before", Action.BLOCK: "may not open"}


def _tell_unknown(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    said = []
    for rule in diff["add"].get("unknown_rules", ()):
        ends = uk_end(_at(rule["until"])) if rule["until"] else "someone changes it"
        text = f"{who(document, rule['groups'])} {_MAY[Action(rule['action'])]} {SIGNS[rule['sign']]}, until {ends}."
        if rule["sign"] != "any":
            text += (
                " A program guesses that from the letters of the name, and is sometimes wrong: each site can be put right."
            )
        said.append(text)
    return " ".join(said)


TELLERS: Mapping[str, Teller] = {
    "unknown": _tell_unknown,
    "head": _tell_head,
    "timetable": _tell_timetable,
    "group": _tell_group,
    "safety": _tell_safety,
    "answer": _tell_answer,
    "inspection": _tell_inspection,
    "tenants": _tell_tenants,
    "never_inspect": _tell_never_inspect,
    "coursework": _tell_coursework,
    "video_site": _tell_platform,
    "platform": _tell_platform,
    "suspension": _tell_suspension,
    "alert_rules": _tell_alert_rules,
}
