"""What the lists page says of feeds and of the sealed list: read from the files that the updater and the sealer leave."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from admin_api import words
from admin_api.deps import Desk
from admin_api.telling import Ground
from category_lists import catalogue, feed_state, sealed
from category_lists.catalogue import Feed
from category_lists.corrections import is_correction
from category_lists.feed_state import FeedState
from change_control import list_service
from change_control.lifecycle import State
from change_control.tables import ChangeRow
from policy.live import Objects
from policy.rules import Action


@dataclass(frozen=True, slots=True)
class FeedTold:
    """One feed as the lists page shows it."""

    feed: Feed
    state: FeedState
    until: datetime | None  # when the subscription ends; None: there is none
    days_old: int | None
    late: bool
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SealedTold:
    """The sealed list of illegal content, as far as it may be told."""

    installed: bool
    sentence: str
    alarm: str = ""


def feeds(desk: Desk, session: Session, ground: Ground) -> tuple[FeedTold, ...]:
    """The feeds of the catalogue, those with a subscription first."""
    now, data = desk.office.now(), desk.services.data
    try:
        known: Mapping[str, Feed] = catalogue.load(data, ground.taxonomy.categories)
    except ValueError:  # somebody's own feeds.yaml; `schoolgate lists catalogue` says what is wrong with it
        known = catalogue.load(None, ground.taxonomy.categories)
    ends = {
        str(entry["diff"]["terms"]["feed"]["id"]): datetime.fromisoformat(entry["diff"]["terms"]["until"])
        for _, entry in list_service.subscriptions(desk.office, session, desk.place.log)
    }
    found = []
    for feed in known.values():
        state = feed_state.load(data, feed.id)
        names = tuple(sorted(ground.category(category) for category in feed.categories))
        late = feed.id in ends and state.late(now, feed.every_hours)
        found.append(FeedTold(feed, state, ends.get(feed.id), state.days_old(now), late, names))
    return tuple(sorted(found, key=lambda one: (one.until is None, one.feed.name)))


def late_feeds(desk: Desk, session: Session, ground: Ground) -> tuple[FeedTold, ...]:
    """Subscribed feeds that have failed for two of their turns: someone should look."""
    return tuple(one for one in feeds(desk, session, ground) if one.late)


@dataclass(frozen=True, slots=True)
class Overruled:
    """How often people here found a list wrong: sites it refused that were opened, and sites it should have named."""

    over: int = 0
    missed: int = 0


def overruled(desk: Desk, session: Session, ground: Ground) -> Mapping[str, Overruled]:
    """Counted from what is in force here: sites that the headteacher opened, and corrections."""
    dictionary = desk.services.snapshot().dictionaries[ground.document.dictionary]
    over, missed = Counter[str](), Counter[str]()
    for rule in ground.document.site_rules:
        if rule.action is Action.ALLOW:
            says = dictionary.index.find(rule.host, rule.path or None)
            refused = {one.list_id for one in says if "block" in dictionary.taxonomy.categories[one.category].phases.values()}
            over.update(refused)
    listed = desk.office.dictionaries.named(ground.document.dictionary).lists
    rows = session.scalars(
        select(ChangeRow).where(
            ChangeRow.log == desk.place.log, ChangeRow.kind == "recategorise", ChangeRow.state == State.IN_FORCE
        )
    )
    for row in rows:
        diff = json.loads(row.diff)
        over.update(diff["overrules"])
        if diff["category"]:
            of_it = {ref.id for ref in listed if ref.category == diff["category"] and not is_correction(ref.id)}
            missed.update(of_it - set(diff["agrees"]))
    return {name: Overruled(over[name], missed[name]) for name in {*over, *missed}}


def sealed_list(desk: Desk, ground: Ground) -> SealedTold:
    """Whether there is a licensed list of illegal content, how old it is, and whether it works."""
    digest = desk.office.dictionaries.named(ground.document.dictionary).sealed
    if not digest:
        return SealedTold(False, words.NO_ILLEGAL_LIST)
    objects = Objects(desk.services.data)
    today = desk.office.now().date()
    try:
        bundle = sealed.load(objects.sealed_folder, objects.sealed_key, digest).bundle
    except sealed.CannotOpen as error:
        said = f"The sealed list of illegal content does not work on this machine: {error}."
        return SealedTold(True, said, "This is an emergency. Tell your technician and the LA officer now.")
    days = bundle.days_old(today)
    said = (
        f"The sealed list of {bundle.issuer}, issued {words.many(days, 'day')} ago, is in force. Nobody can open or read "
        "what is in it, at any level."
    )
    stale = "It is out of date. Ask your authority for a newer one." if bundle.stale(today) else ""
    return SealedTold(True, said, stale)
