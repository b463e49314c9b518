"""/lists/name: a site's card: what it is, which lists say so, since when, who would be affected; and correcting it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin_api.deps import Desk
from admin_api.forms import Filled, Form
from admin_api.permissions import at
from admin_api.routes.why import answer
from admin_api.telling import Ground
from category_lists import catalogue
from category_lists.classifier import NOTHING
from category_lists.names import Site, canonical_site, parents
from change_control import list_service
from change_control.authority import Permission
from change_control.ledger import LedgerMismatch
from policy.rules import Action, SchoolPolicy

router = APIRouter()
DAYS, LONGEST = 7, 1.0


@dataclass(frozen=True, slots=True)
class Say:
    """One list's word on a site."""

    category: str
    list: str
    version: str
    since: str
    entry: str
    home: str = ""  # of whoever makes the list
    maker: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """Everything that is known of a site here."""

    site: str
    says: tuple[Say, ...]
    groups: tuple[tuple[str, str], ...]  # what each group gets
    asked: int | None  # how often it was asked for in the last days; None: not counted
    askers: int
    proposed: tuple[tuple[str, int], ...] = ()  # what a program makes of its letters, in percent
    generated: bool = False


def card(desk: Desk, ground: Ground, site: Site) -> Card:
    snapshot, log = desk.services.snapshot(), desk.place.log
    dictionary = snapshot.dictionaries[ground.document.dictionary]
    made_by = _makers(desk, ground)
    says = tuple(
        Say(
            ground.category(match.category),
            match.list_id,
            match.version,
            match.version[:10],
            match.host + match.path,
            *made_by(match.list_id),
        )
        for match in dictionary.index.find(site.host, site.path)
        if not dictionary.taxonomy.categories[match.category].locked
    )
    groups: list[tuple[str, str]] = []
    if isinstance(ground.document, SchoolPolicy):
        for group in ground.document.groups:
            said = answer(snapshot, log, group.id, str(site), desk.office.now())
            groups.append((group.name, said.decision.action.value))
    asked, askers = _asked(desk, site.host)
    model = dictionary.model
    guess = model.guess(site.host) if model and not dictionary.index.find(site.host, site.path) else NOTHING
    proposed = tuple((ground.category(one.category), round(one.probability * 100)) for one in guess.proposals)
    return Card(str(site), says, tuple(groups), asked, askers, proposed, guess.generated)


def _makers(desk: Desk, ground: Ground) -> Callable[[str], tuple[str, str]]:
    """Where to tell whoever makes a list that it is wrong: by the feed that it comes from; nowhere for lists of our own."""
    try:
        feeds = catalogue.load(desk.services.data, ground.taxonomy.categories)
    except ValueError:  # somebody's own feeds.yaml; `schoolgate lists catalogue` says what is wrong with it
        feeds = catalogue.load(None, ground.taxonomy.categories)

    def made_by(list_id: str) -> tuple[str, str]:
        feed = next((one for one in feeds.values() if list_id == one.id or list_id.startswith(f"{one.id}-")), None)
        return (feed.home, feed.maintainer) if feed else ("", "")

    return made_by


def report(card: Card, say: Say) -> str:
    """What to tell whoever makes a list: the entry, the version, and what is wrong, ready to be copied."""
    return f"{say.entry} in your list {say.list} ({say.version}) covers {card.site}, which is not {say.category}."


def _asked(desk: Desk, host: str) -> tuple[int | None, int]:
    """How often a site and what is below it was asked for; whoever asked is only counted."""
    if desk.services.log is None or desk.place.tier == "authority":
        return None, 0
    now, end = desk.office.now(), time.monotonic() + LONGEST
    count, who = 0, Counter[str]()
    for at_line, (line, times) in enumerate(desk.services.log.questions(desk.place.log, now - timedelta(days=DAYS), now)):
        if at_line % 500 == 0 and time.monotonic() > end:
            return None, 0
        if line.host == host or host in parents(line.host):
            count += times
            who[line.person or line.device or line.address] += times
    return count, len(who)


@router.get("/lists/name")
def name(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    site: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    return show(desk, site, Filled())


def show(desk: Desk, site: str, typed: Filled, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    found, problems = None, dict(errors or {})
    if site.strip():
        try:
            found = card(desk, ground, canonical_site(site))
        except ValueError as error:
            problems.setdefault("site", str(error))
    open_to_change = [one for one in ground.taxonomy.categories.values() if not one.locked and not one.essential]
    return desk.page(
        "list_name.html",
        422 if problems and status == 200 else status,
        site=site,
        card=found,
        makers=[(say.maker, say.home, report(found, say)) for say in found.says if say.home] if found else [],
        typed=typed,
        errors=problems,
        categories=sorted(open_to_change, key=lambda one: one.name),
        blocked=Action.BLOCK,
    )


@router.post("/lists/name")
def recategorise(desk: Annotated[Desk, at(Permission.REQUEST)], form: Form) -> Response:
    """Ask that this school counts a site as something else, or as nothing, whatever lists say."""
    site, category, reason = form.text("site"), form.text("category"), form.text("reason")
    errors = {}
    if not category:
        errors["category"] = "choose what the site is"
    if len(reason) < 3:
        errors["reason"] = "say why, in a sentence: the headteacher decides on it"
    if errors:
        return show(desk, site, form, errors, 422)
    wanted = "" if category == "none" else category
    try:
        list_service.prepare_recategorise(desk.office, desk.services.store, desk.place.log, site, wanted)
        with desk.write() as session:
            row = list_service.recategorise(
                desk.office, session, desk.place.log, site, wanted, by=desk.visitor.person, reason=reason
            )
    except LedgerMismatch:
        raise
    except ValueError as error:
        return show(desk, site, form, {"category": str(error)}, 422)
    return desk.go(f"/requests/{row.id}", "asked")
