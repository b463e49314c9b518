"""A decision said in one plain sentence, the same on block pages, at the desk and on the command line."""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from category_lists.classifier import READER
from policy.decide import PHRASES, Decision, Question, Reason
from policy.rules import Action
from policy.snapshot import Profile, Snapshot

VERB = {
    Action.ALLOW: "may open",
    Action.RESTRICT: "may open, with safe search on,",
    Action.WARN: "will see a warning before",
    Action.BLOCK: "may not open",
}
WHY = {
    Reason.SEALED: "It is blocked.",
    Reason.BLOCKED: "It is blocked.",
    Reason.ESSENTIAL: "It is one of the essential sites that always stay open.",
    Reason.NOT_SIGNED_IN: "On this network people sign in first; until then only the essential sites open.",
    Reason.SUSPENSION: "Internet access is suspended; only the coursework sites can be used.",
    Reason.AUTHORITY_SITE: "{authority} has a rule about this site for every school.",
    Reason.AUTHORITY_CATEGORY: "{authority} has a rule about {category} for every school.",
    Reason.SCHOOL_SITE: "The school has a rule about this site.",
    Reason.SCHOOL_CATEGORY: "The school has a rule about {category}.",
    Reason.DEFAULT_SITE: "{authority} suggests this for its schools.",
    Reason.DEFAULT_CATEGORY: "{authority} suggests this for {category}.",
    Reason.PHASE_DEFAULT: "It is in the category {category}, and this is what is usual {for_whom}.",
    Reason.LOOKS_HARMFUL: "No list knows it, its name looks like {category}, and the school has a rule about such names.",
    Reason.GENERATED: "No list knows it, its name looks made up by a program, and the school has a rule about such names.",
    Reason.UNKNOWN_NAME: "It is in no category, and this is what is usual {for_whom} for such sites.",
    Reason.SAFE_SEARCH: "Safe search cannot be kept on here for devices that do not use the school's proxy.",
    Reason.ERROR: "The filter could not decide, so it refused.",
}
TIERS = {  # who has the say at each step: locked > the authority > the school > the authority's suggestions > what is usual
    Reason.SEALED: "locked",
    Reason.ESSENTIAL: "locked",
    Reason.NOT_SIGNED_IN: "school",
    Reason.SUSPENSION: "school",
    Reason.AUTHORITY_SITE: "authority",
    Reason.AUTHORITY_CATEGORY: "authority",
    Reason.SCHOOL_SITE: "school",
    Reason.SCHOOL_CATEGORY: "school",
    Reason.DEFAULT_SITE: "authority's suggestion",
    Reason.DEFAULT_CATEGORY: "authority's suggestion",
    Reason.PHASE_DEFAULT: "usual at this age",
    Reason.LOOKS_HARMFUL: "school",
    Reason.GENERATED: "school",
    Reason.UNKNOWN_NAME: "usual at this age",
    Reason.ERROR: "refused",
}
FOR_WHOM = {"staff": "for staff", "guest": "for guests", "strictest": "for devices that belong to no school"}


@lru_cache(maxsize=256)  # a batch says the same few ends over and over
def uk_date(at: datetime, zone: str = "Europe/London") -> str:
    """Friday 18 December 2026 at 15:30, as the UK writes and reads it."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%A} {local.day} {local:%B %Y} at {local:%H:%M}"


def uk_end(at: datetime, zone: str = "Europe/London") -> str:
    """An end, said without its minute when it is the end of a day."""
    local = at.astimezone(ZoneInfo(zone))
    if (local.hour, local.minute) == (23, 59):
        return f"the end of {local:%A} {local.day} {local:%B %Y}"
    return uk_date(at, zone)


def category_name(profile: Profile, category: str | None) -> str:
    known = profile.dictionary.taxonomy.categories.get(category or "")
    return known.name if known else category or "unknown"


def because(snapshot: Snapshot, profile: Profile, decision: Decision) -> str:
    """The reason in one sentence, with the change that says so."""
    said = WHY[decision.reason]
    if decision.reason is Reason.UNKNOWN_NAME and decision.rule:
        said = "It is in no category, and the school has a rule about such sites."
    if decision.list == READER:
        said = said.replace("its name looks", "its name and its text together look")
    if decision.list == PHRASES:
        said = f"Its words are about {{category}}. {said.replace('It is in the category {category}, and this', 'This')}"
    text = said.format(
        authority=snapshot.authority.name,
        category=category_name(profile, decision.category),
        for_whom=FOR_WHOM.get(profile.phase, "at this age"),
    )
    return f"{text[:-1]} (change {decision.change})." if decision.change else text


def why(snapshot: Snapshot, decision: Decision, asked: Question) -> str:
    """The reason, and until when it holds."""
    profile = snapshot.profile(asked.school, asked.group)
    text = because(snapshot, profile, decision)
    if decision.inner:
        text = f"It carries {decision.inner[:80]} inside. {text}"
    return f"{text} This may change on {uk_date(decision.until, profile.zone)}." if decision.until else text


def who_may(snapshot: Snapshot, decision: Decision, asked: Question) -> str:
    """The beginning of the whole answer, up to the site: "Years 7-9 at Hillview Academy may not open"."""
    profile = snapshot.profile(asked.school, asked.group)
    who = profile.group_name[:1].upper() + profile.group_name[1:]
    school = snapshot.schools.get(asked.school)
    place = f" at {school.name}" if school else ""
    return f"{who}{place} {VERB[decision.action]}"


def sentence(snapshot: Snapshot, decision: Decision, asked: Question) -> str:
    """The whole answer: who, what, why."""
    site = asked.host + (asked.path or "")
    return f"{who_may(snapshot, decision, asked)} {site}. {why(snapshot, decision, asked)}"
