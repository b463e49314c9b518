"""What becomes a capture, and how soon someone must see it. Pure: an event and what is known go in, a finding comes out.

Three ways an event is found: its search words are about a theme (the phrase sets, which see through misspellings and know
eleven languages); it was blocked as a category that stands for a theme; or one of the school's own rules names it. A finding
is *plain*, or *faint*: too little for one capture, and remembered. What is faint has a weight. A person's weights of a
fortnight, and half of those of the fortnight before, are added up within what belongs together (`TOGETHER`), late at night
more, refused sites a little, and enough of them on different days are shown, with all that went before.

Where a capture goes depends on the theme and on the age of who it is about: a sixteen-year-old who tries a pornography site
stands in the weekly report, a six-year-old who meets one is looked at the same day. `ROUTES` in order: faint things are not
shown, weekly ones stand in reports and are archived in bulk, review ones wait at the desk, urgent ones are told at once.
A school changes all this by alert rules, which are policy and signed like any other change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import log
from pathlib import Path
from typing import Final

from category_lists.linear import shares
from category_lists.phrases import Phrases, Score, by_hand, learned
from category_lists.reading import Reader
from category_lists.text import plain as plain_text
from monitoring.confiding import at_home, calm, confided
from policy.rules import AlertRule

ROUTES: Final = ("faint", "weekly", "review", "urgent")
YOUNG: Final = frozenset({"early-years", "ks1", "ks2"})
PAGES: Final = frozenset({"page", "search", "connection"})  # what a person does; names looked up may be an app's doing
FAINT, NIGHT = 16, (22, 6)
ENOUGH = 40  # so much is shown of what is faint alone: two signs on two days
REFUSED, REFUSED_MOST = 10, 20  # what pages count for that were refused, and were too few for a capture
AT_NIGHT = 1.5
# No more than this is remembered of one search for longer than a fortnight, and none weighs more for two signs in it.
MUCH = 30


@dataclass(frozen=True, slots=True)
class Theme:
    """What captures are about, and how soon each age's are seen."""

    id: str
    name: str
    area: str  # KCSIE's four areas of risk: content, contact, conduct, commerce
    route: str
    young: str  # for early years to key stage 2
    urgent_at: int  # a search that scores so much is told at once; 0: never
    phrases: tuple[str, ...] = ()  # themes of the phrase sets
    categories: tuple[str, ...] = ()  # categories that stand for it when they are blocked
    run: int = 3  # so many blocked pages within half an hour are worth a capture


THEMES: Mapping[str, Theme] = {
    one.id: one
    for one in (
        Theme("self-harm", "Self-harm, suicide and eating disorders", "content", "review", "urgent", 50,
              ("self_harm_eating_disorders",), ("self_harm_eating_disorders",), 1),
        Theme("exploitation", "Sexual exploitation and abuse", "contact", "review", "urgent", 80,
              ("abuse", "stranger_chat", "dating"), ("stranger_chat", "dating"), 3),
        Theme("family", "Trouble at home", "conduct", "review", "urgent", 100, ("family_issues",)),
        Theme("prevent", "Extremism (Prevent)", "content", "review", "urgent", 100,
              ("extremism_terrorism",), ("extremism_terrorism",), 1),
        Theme("violence", "Violence and weapons", "conduct", "review", "review", 160,
              ("weapons_explosives", "violence_gore"), ("weapons_explosives", "violence_gore"), 3),
        Theme("bullying", "Bullying", "conduct", "review", "review", 0, ("bullying",)),
        Theme("hate", "Hate and discrimination", "conduct", "review", "review", 0,
              ("hate_discrimination", "vawg_misogyny"), ("hate_discrimination", "vawg_misogyny"), 2),
        Theme("drugs", "Drugs and alcohol", "content", "review", "review", 0,
              ("drugs_substance", "alcohol_tobacco_vaping"), ("drugs_substance", "alcohol_tobacco_vaping"), 3),
        Theme("pornography", "Pornography", "content", "weekly", "review", 0,
              ("pornography", "adult_mixed", "ai_companions_nudify"), ("pornography", "ai_companions_nudify"), 2),
        Theme("gambling", "Gambling", "commerce", "weekly", "review", 0, ("gambling",), ("gambling",), 3),
        Theme("misinformation", "Misinformation", "content", "weekly", "weekly", 0,
              ("misinformation",), ("misinformation",), 3),
        Theme("bypass", "Ways round the filter", "conduct", "weekly", "review", 0,
              ("proxy_vpn", "hacking"), ("proxy_vpn", "doh_dns_bypass", "hacking"), 3),
        Theme("scams", "Scams and buying", "commerce", "weekly", "weekly", 0,
              ("malware_phishing",), ("malware_phishing",), 5),
        Theme("off-task", "Off task", "conduct", "weekly", "weekly", 0, (),
              ("games", "social_networks", "streaming_media", "entertainment", "shopping", "sports"), 20),
    )
}  # fmt: skip
# How surely a search has to read like one theme where no phrase says it: logarithms of odds beyond the line of searches.
# More beside a faint sign: most such searches are everyday worries. docs/review.md says what that finds and what it costs.
SURE, SURER = 2.5, 3.5
SUREST = 4.4  # for what is one known word, and for a guess that would call somebody at once
READ_POINTS = 20  # what it weighs with the signs that come later: it is shown by itself, and does not pull each of them up
SHARE = 0.25  # of all harm: so likely a theme that cannot wait comes before those of the weekly report
CONCERNS = ("self-harm", "exploitation", "family", "prevent", "violence")  # of which also what is faint is remembered
# What one story may be made of: trouble at home, hopelessness and someone older who is kind are seldom one word.
TOGETHER = (
    frozenset({"self-harm", "exploitation", "family", "bullying", "violence"}),
    frozenset({"prevent", "hate", "violence"}),
)
AREAS: Mapping[str, str] = {"content": "Content", "contact": "Contact", "conduct": "Conduct", "commerce": "Commerce"}
_BY_PHRASE = {name: one for one in THEMES.values() for name in one.phrases}
_BY_CATEGORY = {name: one for one in THEMES.values() for name in one.categories}


@dataclass(frozen=True, slots=True)
class Seen:
    """One event, as far as rules ask about it."""

    kind: str
    group: str
    phase: str
    term: str
    host: str
    category: str
    action: str
    detail: str = ""
    hour: int = 12  # of the school's day


@dataclass(frozen=True, slots=True)
class Finding:
    """What an event was found to be about."""

    theme: Theme
    route: str  # before any pattern over time
    score: int
    why: str
    change: int = 0  # the change behind the school's own rule
    run: int = 1  # so many of these make it what `route` says; fewer are faint


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the same person and theme: episodes before this one, and how many events in this one."""

    count: int = 1
    episodes: int = 0  # in the last fortnight
    days: int = 0  # distinct days of those; of faint signs, of four weeks
    weight: int = 0  # of faint signs: of those before, and of this episode


@dataclass(frozen=True, slots=True)
class Read:
    """What a search reads like: its theme ("" for none), how surely, and the words that speak for it."""

    theme: str
    odds: float
    words: tuple[str, ...] = ()
    alone: bool = False  # it knows one word of the search


@cache
def family() -> Phrases:
    """The sets that reviewing needs and the filter has no use for: trouble at home, and what nobody should be refused for."""
    return Phrases(
        {name: Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("concerns.yaml", "family.yaml")}
    )


@cache
def signs() -> Phrases:
    """Frames of ordinary words about oneself, which mean nothing once: see signs.yaml."""
    return Phrases({"signs.yaml": Path(__file__).with_name("signs.yaml").read_text(encoding="utf-8")})


def together(theme: str) -> frozenset[str]:
    """The themes whose faint signs are added up with this one's."""
    return frozenset({theme}.union(*(some for some in TOGETHER if theme in some)))


def _meant(reader: Reader, spoken: str, *, home: bool) -> Read:
    """The reader tells kinds of sites and of what is said; here they are themes. What cannot wait comes before what can, and
    before what is nobody's concern here (cheating, piracy).
    """
    reading = reader.read(spoken)
    beyond = reading.odds - reader.lines["search"]
    if beyond < SURE:
        return Read("", beyond)
    found = {kind: share for kind, share in shares(reader.scores_of(spoken)).items() if kind in reader.themes}
    kinds: dict[str, list[str]] = {}
    for kind in sorted(found, key=found.__getitem__, reverse=True):
        kinds.setdefault(_BY_PHRASE[kind].id if kind in _BY_PHRASE else "", []).append(kind)
    of = {theme: sum(found[kind] for kind in some) / sum(found.values()) for theme, some in kinds.items()}
    soon = [theme for theme, share in of.items() if theme and THEMES[theme].route != "weekly" and share >= SHARE]
    theme = max(soon or of, key=of.__getitem__)
    said = kinds[theme][0]
    about = "family" if home and said == "abuse" else theme  # it was taught no difference
    return Read(about, beyond + log(of[theme]), reader.why(spoken, said), reading.words == 1)


@dataclass(slots=True)
class Judge:
    """Finds what events are about. Remembers the scores of searches: schools search for the same things."""

    phrases: Phrases = field(default_factory=by_hand)
    reader: Reader | None = field(default_factory=learned)
    _known: dict[tuple[str, str], tuple[Score, ...]] = field(default_factory=dict)
    _read: dict[str, Read] = field(default_factory=dict)

    def find(self, seen: Seen, rules: Sequence[AlertRule] = ()) -> Finding | None:
        """The weightiest thing that an event is about; None for nothing."""
        found: list[Finding] = []
        for rule in rules:
            if rule.does == "watch" and _names(rule, seen) and _for_group(rule, seen):
                theme = THEMES.get(rule.theme, THEMES["bullying"])
                found.append(
                    Finding(theme, rule.route or "review", 100, f"“{rule.phrase}”, a word of the school’s own", rule.change)
                )
        if seen.term:
            found += self._search(seen, rules)
        if seen.action in {"block", "warn"} and (stands := _BY_CATEGORY.get(seen.category)):
            run = stands.run if seen.kind in PAGES else 2 * stands.run + 2
            found.append(Finding(stands, _route(stands, seen, rules), 0, f"blocked as {stands.name.lower()}", run=run))
        if "bypass:" in seen.detail:
            theme = THEMES["bypass"]
            found.append(Finding(theme, _route(theme, seen, rules), 0, "tried a way round the filter", run=3))
        if any(one.theme.id == "family" and one.route != "faint" for one in found):  # "my dad hits me" is about home first
            found = [one for one in found if one.theme.id != "exploitation"]
        found = [one for one in found if one.route != "off"]
        return max(found, key=lambda one: (ROUTES.index(one.route) if one.run == 1 else 0, one.score), default=None)

    def _search(self, seen: Seen, rules: Sequence[AlertRule]) -> list[Finding]:
        ignored = [rule for rule in rules if rule.does == "ignore" and _names(rule, seen) and _for_group(rule, seen)]
        found = []
        for score in self._scores(seen.term, seen.phase)[:-1]:
            weights: dict[str, int] = {}
            for hit in score.hits:
                weights[hit.theme] = weights.get(hit.theme, 0) + hit.weight
            for name, weight in weights.items():
                theme = _BY_PHRASE.get(name)
                if theme is None or any(rule.theme in {"", theme.id} for rule in ignored):
                    continue
                strong = score.themes.get(name, 0)
                words = next((hit.phrase for hit in score.hits if hit.theme == name), "")
                if strong:
                    route = _route(theme, seen, rules)
                    if route != "off" and theme.urgent_at and strong >= theme.urgent_at:
                        route = "urgent"
                    found.append(Finding(theme, route, strong, f"“{words}”"))
                elif weight >= FAINT and theme.id in CONCERNS and not calm(seen.term):
                    found.append(Finding(theme, "faint", self._faint(weight, seen), f"“{words}”"))
        if any(one.route not in {"faint", "off"} for one in found):
            return found
        seen_faintly = [one for one in found if one.route == "faint"]
        faint = seen_faintly or self._signs(seen, ignored)  # of which somebody said that it means nothing once
        return [*faint, *self._reads_like(seen, rules, ignored, SURER if faint else SURE)]

    def _reads_like(self, seen: Seen, rules: Sequence[AlertRule], ignored: Sequence[AlertRule], sure: float) -> list[Finding]:
        """What no phrase says and a search surely reads like. A filter may err where a child sees why and can ask; here every
        mistake takes a look of somebody who has a thousand others to look at. So what reads like a theme of the weekly report
        stays there whatever the age, until phrases or refusals say the same.
        """
        if self.reader is None or calm(seen.term):
            return []
        if (read := self._read.get(seen.term)) is None:
            if len(self._read) > 50_000:
                self._read.clear()
            read = self._read[seen.term] = _meant(self.reader, self.phrases.spoken(seen.term), home=at_home(seen.term))
        theme = THEMES.get(read.theme)
        if read.alone:  # a name, or the half of a thought
            sure = SUREST
        if theme is None or read.odds < sure or any(rule.theme in {"", theme.id} for rule in ignored):
            return []
        at = _route(theme, replace(seen, phase="") if theme.route == "weekly" else seen, rules)
        if at == "urgent" and read.odds < SUREST and not _routed(theme, seen, rules):
            at = "review"  # nobody is called out of bed for what was guessed, unless it is surer than sure
        said = ", ".join(f"“{words}”" for words in read.words)
        return [Finding(theme, at, READ_POINTS, f"what it reads like: {said}")]

    def _signs(self, seen: Seen, ignored: Sequence[AlertRule]) -> list[Finding]:
        """What is a sign only beside others."""
        if calm(seen.term):
            return []
        (*_, score) = self._scores(seen.term, seen.phase)
        weights: dict[str, int] = {}
        for hit in score.hits:
            weights[hit.theme] = weights.get(hit.theme, 0) + hit.weight
        if max(weights.values(), default=0) < FAINT and (said := confided(seen.term)):
            weights = {THEMES[said.theme].phrases[0]: said.weight}
        return [
            Finding(theme, "faint", self._faint(weight, seen), "a faint sign")
            for name, weight in weights.items()
            if (theme := _BY_PHRASE.get(name)) and not any(rule.theme in {"", theme.id} for rule in ignored)
        ]

    @staticmethod
    def _faint(weight: int, seen: Seen) -> int:
        """Two signs in one search are not two searches; at night a person is alone with what she asks."""
        return round(min(weight, MUCH) * (AT_NIGHT if night(seen.hour) else 1))

    def _scores(self, term: str, phase: str) -> tuple[Score, ...]:
        key = term, phase
        if key not in self._known:
            if len(self._known) > 50_000:
                self._known.clear()
            self._known[key] = tuple(sets.score(term, "search", phase=phase) for sets in (self.phrases, family(), signs()))
        return self._known[key]


def _route(theme: Theme, seen: Seen, rules: Sequence[AlertRule]) -> str:
    """Where the theme goes for this age, unless the school says otherwise: its latest rule counts."""
    if own := _routed(theme, seen, rules):
        return max(own, key=lambda rule: rule.change).route
    return theme.young if seen.phase in YOUNG else theme.route


def _routed(theme: Theme, seen: Seen, rules: Sequence[AlertRule]) -> list[AlertRule]:
    """The school's own rules about where a theme goes."""
    return [one for one in rules if one.does == "route" and one.theme == theme.id and _for_group(one, seen)]


def _names(rule: AlertRule, seen: Seen) -> bool:
    wanted = f" {plain_text(rule.phrase).strip()} "
    return wanted in f" {plain_text(seen.term).strip()} " or rule.phrase.strip().lower() == seen.host


def _for_group(rule: AlertRule, seen: Seen) -> bool:
    return not rule.groups or seen.group in rule.groups


def night(hour: int) -> bool:
    return hour >= NIGHT[0] or hour < NIGHT[1]


def route(finding: Finding, past: Past, hour: int) -> str:
    """Where it goes, seen in time: once is not thrice, and at night is not at noon."""
    at = finding.route
    if at != "faint" and past.count < finding.run:
        at = "faint"
    if at == "faint":
        again = finding.route == "faint" and past.weight >= ENOUGH and (past.days >= 1 or past.count >= 4)
        return "review" if again else "faint"
    often = past.days >= 3 or past.count >= 5 * finding.run or (night(hour) and past.episodes >= 1)
    return "review" if at == "weekly" and finding.theme.id != "off-task" and often else at


def pattern(past: Past, hour: int) -> str:
    """What time adds, in words."""
    said = []
    if past.count > 1:
        said.append(f"{past.count} times in a row")
    if past.episodes:
        said.append(f"{past.episodes + 1} times in a fortnight")
    if night(hour):
        said.append("at night")
    return ", ".join(said)
