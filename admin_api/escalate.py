"""Telling people of alarms: by the outbox, in the words of the alarm alone. Run by the recorder's process."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from admin_api import outbox
from change_control.store import Store
from monitoring import alarms
from monitoring.alarms import Telling
from monitoring.log import Log
from monitoring.rota import Terms
from monitoring.watch import Caught

MORNING = 7
REVIEWERS = ("dsl", "online_safety_coordinator")
TEXT = """{words}.

Nobody’s name stands in this message, on purpose. Sign in, look, and say that you have it:
{link}

If nobody does within the time your school has set, the next in line is told as well.
"""

# To the LA about a pupil: whom it is about is the school's to see, and stays so.
FAR = """{words}, at {school}.

Nobody at the school has said that they have it, though the DSL and the headteacher were told. Please telephone them now.
You cannot open it yourself; whether somebody has it meanwhile is at {link}
"""


def raise_for(log: Log, caught: Caught, now: datetime) -> bool:
    """An alarm for a capture that cannot wait."""
    words = alarms.about_capture(caught.theme)
    return alarms.raise_(log, caught.school, f"capture:{caught.id}", words, caught.subject, now)


def teller(store: Store, url: Callable[[], str], now: Callable[[], datetime]) -> alarms.Tell:
    """Puts a message to whoever is next into the outbox, and an event without a name to the webhooks."""

    def tell(what: Telling) -> bool:
        one = what.alarm
        path = f"/captures/{one.capture}" if one.capture else "/constancy"
        text = TEXT.format(words=one.words, link=f"{url()}{path}?school={one.school}")
        if what.roles == ("la_officer",) and one.subject == "pupil":
            text = FAR.format(words=one.words, school=one.school, link=f"{url()}/reports?school={one.school}")
        key = f"alarm:{one.school}:{one.id}:{len(one.told)}"
        with store.write() as session:
            on_rota = outbox.addresses(session, one.school, (*REVIEWERS, "headteacher")) if what.people else {}
            chosen = {person: to for person, to in on_rota.items() if person in what.people}
            chosen = chosen or outbox.addresses(session, one.school, what.roles)
            for to in sorted(set(chosen.values())):
                subject = "Schoolgate: something needs you now"
                outbox.put(session, outbox.Message(one.school, outbox.EMAIL, to, subject, text, key), now())
            if one.subject in {"pupil", "review"}:  # what hooks lead to, such as a chat of the team, is no place for staff's
                said = outbox.event("alarm", now(), {"school": one.school, "alarm": one.id, "words": one.words})
                outbox.put(session, outbox.Message(one.school, outbox.WEBHOOK, outbox.ALL_HOOKS, "alarm", said, key), now())
        return bool(chosen)

    return tell


def go_on(
    log: Log, store: Store, url: str, now: Callable[[], datetime], zones: Mapping[str, str], terms: Mapping[str, Terms]
) -> int:
    return alarms.go_on(log, teller(store, lambda: url, now), now(), zones, terms)


def tell_of_reports(session: Session, school: str, url: str, now: datetime, zone: str) -> None:
    """On Mondays the weekly report, on the first of a month the monthly one: a link, once. The head gets her one page."""
    local = now.astimezone(ZoneInfo(zone))
    if local.hour < MORNING:
        return
    due = [("week", "weekly")] if local.weekday() == 0 else []
    due += [("month", "monthly")] if local.day == 1 else []
    for period, name in due:
        for roles, format_ in ((REVIEWERS, ""), (("headteacher",), "&format=digest")):
            link = f"{url}/reports?school={school}&period={period}&ends={local.date() - timedelta(days=1)}{format_}"
            text = f"The {name} report of your school is ready:\n{link}\n\nNobody is named in it. You sign in to read it."
            key = f"report:{school}:{period}:{local.date()}:{format_}"
            outbox.put_to_roles(session, school, roles, f"Schoolgate: the {name} report", text, key, now)
        if period == "month":  # the LA reads counts alone, of all her schools at once
            page = f"{url}/rollup?period=month"
            text = f"Your schools in counts, for last month:\n{page}\n\nNobody is named. You sign in to read it."
            key = f"rollup:{local.date()}"
            outbox.put_to_roles(session, school, ("la_officer",), "Schoolgate: your schools in counts", text, key, now)
