"""A decision said in one plain sentence, the same on block pages, at the desk and on the command line."""

from datetime import datetime
from zoneinfo import ZoneInfo

from policy.decide import Decision, Question, Reason
from policy.rules import Action
from policy.snapshot import Profile, Snapshot

VERB = {
    Action.ALLOW: "may open",
    Action.RESTRICT: "may open, with safe search on,",
    Action.WARN: "sees a warning before",
    Action.BLOCK: "may not open",
}
WHY = {
    Reason.SEALED: "It is on the list of illegal content, which nobody can open.",
    Reason.ESSENTIAL: "It is one of the essential sites that always stay open.",
    Reason.AUTHORITY_SITE: "{authority} has a rule about this site for every school.",
    Reason.AUTHORITY_CATEGORY: "{authority} has a rule about {category} for every school.",
    Reason.SCHOOL_SITE: "The school has a rule about this site.",
    Reason.SCHOOL_CATEGORY: "The school has a rule about {category}.",
    Reason.DEFAULT_SITE: "{authority} suggests this for its schools.",
    Reason.DEFAULT_CATEGORY: "{authority} suggests this for {category}.",
    Reason.PHASE_DEFAULT: "It is in the category {category}, and this is what is usual at this age.",
    Reason.UNKNOWN_NAME: "No list knows it, and this is what the school does with unknown sites.",
    Reason.ERROR: "The filter could not decide, so it refused.",
}


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


def why(snapshot: Snapshot, decision: Decision, asked: Question) -> str:
    """The reason in one sentence, with the change that says so."""
    profile = snapshot.profile(asked.school, asked.group)
    authority = snapshot.authority.name
    text = WHY[decision.reason].format(authority=authority, category=category_name(profile, decision.category))
    if decision.inner:
        text = f"It carries {decision.inner[:80]} inside. {text}"
    if decision.change:
        text = f"{text[:-1]} (change {decision.change})."
    if decision.until:
        text += f" This may change on {uk_date(decision.until, profile.zone)}."
    return text


def sentence(snapshot: Snapshot, decision: Decision, asked: Question) -> str:
    """The whole answer: who, what, why."""
    profile = snapshot.profile(asked.school, asked.group)
    who = profile.group_name[:1].upper() + profile.group_name[1:]
    school = snapshot.schools.get(asked.school)
    place = f" at {school.name}" if school else ""
    site = asked.host + (asked.path or "")
    verb = VERB[decision.action] if not profile.group_name.endswith("s") else VERB[decision.action].replace("sees", "see")
    return f"{who}{place} {verb} {site}. {why(snapshot, decision, asked)}"
