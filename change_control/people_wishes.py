"""What people ask for about people: a suspension of somebody's internet access, and what becomes a capture."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from category_lists.taxonomy import Taxonomy
from change_control.diffs import Diff, check_groups, make, school_of, who
from policy.rules import AlertRule, Document, SchoolPolicy, Suspension
from policy.words import uk_date, uk_end


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


def tell_suspension(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    kept = [site.host for site in document.coursework] if isinstance(document, SchoolPolicy) else []
    left = f"Coursework stays open: {', '.join(kept)}." if kept else "The coursework list is empty, so nothing stays open."
    said = []
    for one in diff["add"].get("suspensions", ()):
        whom = f"The person {one['person']}" if one["person"] else who(document, one["groups"])
        begins = f" from {uk_date(datetime.fromisoformat(one['starts']))}" if one["starts"] else ""
        ends = uk_end(datetime.fromisoformat(one["until"]))
        said.append(f"{whom} may not use the internet{begins} until {ends}. It ends by itself. {left}")
    return " ".join(said)


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


def tell_alert_rules(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
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
