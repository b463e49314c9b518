"""The kinds of change that people ask for: what each form is called, and how what was typed becomes a wish.

The pages and the JSON API read with the same functions, so that a script is told the same things as a person.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from admin_api import words
from admin_api.forms import Checks, Filled, Wrong, category_wish, groups_chosen, last_moment, moment, network_wish, site_wish
from admin_api.hours import read_hours, read_terms
from category_lists.names import canonical_site
from change_control.changes import NetworkGone, Wish
from change_control.device_wishes import BelongingWish
from change_control.group_wishes import GroupWish, InspectionWish, SafetyWish
from change_control.hour_wishes import TimetableWish
from change_control.passage_wishes import PassageWish
from change_control.people_wishes import AlertWish, SuspensionWish
from change_control.portal_wishes import MODES, PortalWish
from change_control.school_wishes import AnswerWish, HeadWish, TenantsWish
from change_control.site_wishes import SIGNS, ListedWish, Platform, PlatformWish, ShortList, UnknownWish
from policy import passages
from policy.rules import Action


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change as the desk offers it."""

    id: str
    link: str
    hint: str
    heading: str
    about: str  # the field at which a sentence of change control is shown
    read: Callable[[Filled], Wish]


def _site(form: Filled) -> Wish:
    made = site_wish(
        form.text("site"), form.text("action"), form.many("groups"), form.text("until"), words.ZONE, form.text("during")
    )
    return replace(made, mandatory=form.text("mandatory") == "yes")


def _category(form: Filled) -> Wish:
    made = category_wish(
        form.text("category"), form.text("action"), form.many("groups"), form.text("until"), words.ZONE, form.text("during")
    )
    return replace(made, mandatory=form.text("mandatory") == "yes", phases=form.many("phases"))


def _network(form: Filled) -> Wish:
    if form.text("network"):
        return NetworkGone(form.text("network"))
    return network_wish(
        form.text("prefix"), form.text("group"), form.text("listener"), forced=form.text("forced") in {"yes", "true"}
    )


def _belonging(form: Filled) -> Wish:
    devices, user, role = form.many("devices"), form.text("user", 121), form.text("role", 121)
    wrong = Checks()
    if not form.text("group"):
        wrong.fields["group"] = "choose whose rules hold for them"
    if not devices and bool(user) == bool(role):
        wrong.fields["user"] = "give a user name or a pattern, or else a role"
    wrong.done()
    return BelongingWish("" if form.text("group") == "none" else form.text("group"), devices, user, role)


def _passage(form: Filled) -> Wish:
    wrong = Checks()
    if not form.many("prefixes"):
        wrong.fields["prefixes"] = "choose the networks that it is about"
    typed = [each for each in form.text("ports").replace(",", " ").lower().split() if each]
    ports = wrong.check("ports", lambda: tuple(map(passages.port, typed)))
    if form.text("filtered") not in {"", "yes", "no"}:
        wrong.fields["filtered"] = "choose whether they are filtered"
    if form.text("when_dead") not in {"", "closed", "direct"}:
        wrong.fields["when_dead"] = "choose what is left while the filter is not there"
    wrong.done()
    dead = form.text("when_dead") or "closed"
    return PassageWish(form.many("prefixes"), ports or (), form.many("reach"), form.text("filtered") != "no", dead)


def _portal(form: Filled) -> Wish:
    wrong = Checks()
    if not form.many("networks"):
        wrong.fields["networks"] = "choose at least one network"
    if form.text("mode") not in MODES:
        wrong.fields["mode"] = "choose whether people must sign in, may sign in, or there is no sign-in page"
    wrong.done()
    return PortalWish(form.many("networks"), form.text("mode"))


def _timetable(form: Filled) -> Wish:
    wrong = Checks()
    gone = form.text("gone") in {"yes", "true"}
    windows = () if gone else wrong.check("hours", lambda: read_hours(form.text("hours")))
    terms = wrong.check("terms", lambda: read_terms(form.text("terms")))
    if gone and not form.text("timetable"):
        wrong.fields["timetable"] = "choose the timetable that goes"
    if not gone and not form.text("name") and not form.text("timetable"):
        wrong.fields["name"] = "give it a name, such as Lunch"
    wrong.done()
    return TimetableWish(form.text("name"), windows or (), terms or (), form.text("timetable") or None)


def _group(form: Filled) -> Wish:
    wrong = Checks()
    if len(form.text("name")) < 2:
        wrong.fields["name"] = "give the group a name, such as Year 7"
    if not form.text("phase"):
        wrong.fields["phase"] = "choose the phase that its rules begin from"
    wrong.done()
    return GroupWish(form.text("name"), form.text("phase"), form.text("group") or None)


def _safety(form: Filled) -> Wish:
    wrong = Checks()
    if not form.text("group"):
        wrong.fields["group"] = "choose a group"
    if form.text("safe_search") not in {"on", "off"}:
        wrong.fields["safe_search"] = "choose whether safe search is forced"
    if form.text("video") not in {"", "strict", "moderate", "off"}:
        wrong.fields["video"] = "choose how video sites are held"
    wrong.done()
    return SafetyWish(form.text("group"), form.text("safe_search") == "on", form.text("video"))


def _answer(form: Filled) -> Wish:
    if form.text("answer") not in {"page", "nxdomain", "null"}:
        raise Wrong({"answer": "choose how blocked names are answered"})
    return AnswerWish(form.text("answer"))


def _unknown(form: Filled) -> Wish:
    wrong = Checks()
    if form.text("sign") not in SIGNS:
        wrong.fields["sign"] = "choose which sites"
    if form.text("action") not in {"allow", "warn", "block"}:
        wrong.fields["action"] = "choose what should happen"
    groups = wrong.check("groups", lambda: groups_chosen(form.many("groups")))
    until = wrong.check("until", lambda: last_moment(form.text("until"), words.ZONE))
    wrong.done()
    return UnknownWish(form.text("sign"), Action(form.text("action")), groups or (), until)


def _inspection(form: Filled) -> Wish:
    wrong = Checks()
    if not form.text("group"):
        wrong.fields["group"] = "choose a group"
    if not form.many("looks") and not form.text("wording"):
        wrong.fields["looks"] = "choose what is looked into"
    wrong.done()
    return InspectionWish(form.text("group"), form.many("looks"), form.text("wording"))


def _tenants(form: Filled) -> Wish:
    return TenantsWish(form.text("google"), form.text("microsoft"), form.text("directory"))


def _check_site(wrong: Checks, form: Filled, such_as: str) -> None:
    if not form.text("site"):
        wrong.fields["site"] = f"give a site, such as {such_as}"
    else:
        wrong.check("site", lambda: canonical_site(form.text("site")))


def _listed(collection: ShortList) -> Callable[[Filled], Wish]:
    def read(form: Filled) -> Wish:
        wrong = Checks()
        _check_site(wrong, form, "bbc.co.uk")
        wrong.done()
        return ListedWish(collection, form.text("site"), gone=form.text("gone") in {"yes", "true"})

    return read


def _suspension(form: Filled) -> Wish:
    wrong = Checks()
    person = form.text("person", 64)
    groups = wrong.check("groups", lambda: () if person and not form.many("groups") else groups_chosen(form.many("groups")))
    if groups == () and not person:
        wrong.fields["groups"] = "name the groups one by one; there is no suspension of a whole school"
    if groups and person:
        wrong.fields["person"] = "either groups or one person, not both"
    until = wrong.check("until", lambda: _when(form.text("until")))
    starts = wrong.check("starts", lambda: moment(form.text("starts"), words.ZONE))
    if until is None and "until" not in wrong.fields:
        wrong.fields["until"] = "say when it ends; it ends by itself"
    wrong.done()
    if until is None:
        raise Wrong({"until": "say when it ends"})
    return SuspensionWish(until, groups or (), person or None, starts)


def _platform(kind: Platform) -> Callable[[Filled], Wish]:
    def read(form: Filled) -> Wish:
        wrong = Checks()
        _check_site(wrong, form, "vimeo.com")
        groups = wrong.check("groups", lambda: groups_chosen(form.many("groups")))
        until = wrong.check("until", lambda: last_moment(form.text("until"), words.ZONE))
        if until is None and "until" not in wrong.fields:
            wrong.fields["until"] = "say until when; at most a year"
        wrong.done()
        if until is None:
            raise Wrong({"until": "say until when"})
        return PlatformWish(kind, form.text("site"), groups or (), until)

    return read


def _alert_rule(form: Filled) -> Wish:
    does = form.text("does")
    if form.text("rule"):
        return AlertWish("ignore", gone=form.text("rule", 64))
    wrong = Checks()
    if does not in {"watch", "ignore", "route"}:
        wrong.fields["does"] = "choose what the rule does"
    groups = wrong.check("groups", lambda: groups_chosen(form.many("groups")))
    if does in {"watch", "ignore"} and not form.text("phrase"):
        wrong.fields["phrase"] = "give the word or words"
    if does in {"watch", "route"} and not form.text("theme"):
        wrong.fields["theme"] = "choose a theme"
    wrong.done()
    route = form.text("route")
    return AlertWish(
        does if does in {"watch", "route"} else "ignore",  # type: ignore[arg-type]  # looked up above
        form.text("theme"),
        form.text("phrase", 80),
        route if route in {"off", "weekly", "review", "urgent"} else "",  # type: ignore[arg-type]
        groups or (),
    )


def _when(text: str) -> datetime | None:
    return moment(text, words.ZONE) if "T" in text else last_moment(text, words.ZONE)


KINDS: dict[str, Kind] = {
    kind.id: kind
    for kind in (
        Kind(
            "site",
            "A site",
            "Open or block one site, or one part of it, for some groups until a date.",
            "Ask about a site",
            "site",
            _site,
        ),
        Kind(
            "category",
            "A category",
            "Open or block a whole kind of site, such as Games, for some groups.",
            "Ask about a category",
            "category",
            _category,
        ),
        Kind(
            "timetable",
            "Lesson times and terms",
            "Name hours such as Lunch or Lessons, so that rules can go by them.",
            "Ask about hours",
            "hours",
            _timetable,
        ),
        Kind(
            "suspension",
            "A suspension",
            "Take the internet, but for coursework, from a group or a person until a date.",
            "Ask for a suspension",
            "groups",
            _suspension,
        ),
        Kind(
            "coursework",
            "The coursework list",
            "Sites that a suspension leaves as they are.",
            "Ask about the coursework list",
            "site",
            _listed("coursework"),
        ),
        Kind(
            "safety",
            "Safe search and video",
            "Force safe search and restricted video on for a group, or not.",
            "Ask about safe search",
            "group",
            _safety,
        ),
        Kind(
            "unknown",
            "Sites that no list knows",
            "Open them, warn before them or block them: all, or those whose names look harmful or made up.",
            "Ask about sites that no list knows",
            "sign",
            _unknown,
        ),
        Kind(
            "video_site",
            "A video site",
            "Approve a video site for some groups until a date.",
            "Ask for a video site to be approved",
            "site",
            _platform("video_site"),
        ),
        Kind(
            "platform",
            "A social or chat platform",
            "Sanction a platform on which people meet, for some groups until a date.",
            "Ask for a social or chat platform",
            "site",
            _platform("platform"),
        ),
        Kind(
            "inspection",
            "What is looked into",
            "Say for a group which open sites the filter looks into, and what follows from words in searches and pages.",
            "Ask about what is looked into",
            "group",
            _inspection,
        ),
        Kind(
            "tenants",
            "Whose accounts sign in",
            "Let only the school’s own Google and Microsoft accounts sign in.",
            "Ask about whose accounts sign in",
            "google",
            _tenants,
        ),
        Kind(
            "never_inspect",
            "A site never looked into",
            "Its pages stay private: no warnings, no search words. For banks, health, and apps that break.",
            "Ask about a site never looked into",
            "site",
            _listed("never_inspect"),
        ),
        Kind(
            "alert_rules",
            "What becomes a capture",
            "A word to watch for, a word that means no harm, or how soon a theme must be seen.",
            "Ask about captures",
            "phrase",
            _alert_rule,
        ),
        Kind(
            "group",
            "A group",
            "Add a group of people, or give one another name or phase.",
            "Ask about a group",
            "name",
            _group,
        ),
        Kind(
            "answer",
            "How blocked names are answered",
            "What devices hear from DNS: the address of a page, no such name, or an address that leads nowhere.",
            "Ask about the answer for blocked names",
            "answer",
            _answer,
        ),
        Kind(
            "network",
            "A network",
            "Say which group the devices of some addresses belong to. For technicians.",
            "Ask about a network",
            "prefix",
            _network,
        ),
        Kind(
            "passage",
            "Other ports of a network",
            "What a network’s devices may use beside the filtered web: mail, video calls, servers. For boxes that route.",
            "Ask about other ports of a network",
            "prefixes",
            _passage,
        ),
        Kind(
            "belonging",
            "Devices or users of a group",
            "Say whose rules hold for a device, or for people who sign in with certain names. Devices: begin at their page.",
            "Ask about devices or users",
            "user",
            _belonging,
        ),
        Kind(
            "portal",
            "A sign-in page on a network",
            "For guests and others on networks where nothing else says who somebody is.",
            "Ask about a sign-in page",
            "networks",
            _portal,
        ),
    )
}


def _head(form: Filled) -> Wish:
    del form
    return HeadWish()


OFFERED = tuple(KINDS)
KINDS["head"] = Kind("head", "Another headteacher", "", "Ask for another headteacher", "reason", _head)  # for the LA officer


def wish(kind: str, form: Filled) -> Wish:
    """What was asked for; Wrong names every field that cannot be taken."""
    if kind not in KINDS:
        raise Wrong({"site": "choose what the request is about"})
    return KINDS[kind].read(form)
