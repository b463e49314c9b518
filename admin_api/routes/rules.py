"""/rules: what is in force, for whom, and the change behind each rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.past import decide_category
from admin_api.permissions import at
from admin_api.telling import Ground, Told, tell
from category_lists.taxonomy import Category
from change_control import group_wishes, hour_wishes, site_wishes
from change_control.authority import Permission
from change_control.tables import ChangeRow
from policy.decide import Decision
from policy.passages import in_words, way_of
from policy.rules import CategoryRule, Document, Group, SchoolPolicy, SiteRule, Suspension

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Row:
    """A category, and what each group gets of it."""

    category: Category
    answers: tuple[tuple[Group, Decision], ...]


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """A rule, whom it is for in words, and the change that brought it."""

    rule: SiteRule | CategoryRule
    about: str
    who: str
    change: Told | None
    ended: bool
    hours: str = ""


def rules_in_force(session: Session, desk: Desk, ground: Ground) -> tuple[RuleInForce, ...]:
    document = ground.document
    rules: Sequence[SiteRule | CategoryRule] = (*document.site_rules, *document.category_rules)
    rows = session.scalars(
        select(ChangeRow).where(ChangeRow.log == document.log, ChangeRow.id.in_({rule.change for rule in rules}))
    )
    behind = {told.id: told for told in tell(session, desk.services, ground, rows)}
    now = desk.office.now()
    return tuple(
        RuleInForce(
            rule,
            rule.host + rule.path if isinstance(rule, SiteRule) else ground.category(rule.category),
            who(document, rule.groups),
            behind.get(rule.change),
            ended=rule.until is not None and rule.until <= now,
            hours=hour_wishes.hours(document, rule.during).strip() if rule.during else "",
        )
        for rule in sorted(rules, key=lambda one: -one.change)
    )


def who(document: Document, groups: Sequence[str]) -> str:
    """Groups by their names."""
    if not groups:
        return "Everyone" if isinstance(document, SchoolPolicy) else "Every school"
    found = {group.id: group.name for group in document.groups} if isinstance(document, SchoolPolicy) else {}
    return ", ".join(found.get(group, group) for group in groups)


def _suspensions(document: Document, now: datetime) -> list[tuple[Suspension, str, bool]]:
    """Those that are not over, with whom they are about and whether they have begun."""
    if not isinstance(document, SchoolPolicy):
        return []
    return [
        (one, one.person or who(document, one.groups), one.starts is None or one.starts <= now)
        for one in document.suspensions
        if one.until > now
    ]


@router.get("/rules")
def rules(desk: Annotated[Desk, at(Permission.READ_CHANGES)], group: str = "") -> Response:
    snapshot = desk.services.snapshot()
    ground = Ground.of(snapshot, desk.place.log)
    document = ground.document
    groups = document.groups if isinstance(document, SchoolPolicy) else ()
    chosen = tuple(one for one in groups if one.id == group) or groups
    with desk.read() as session:
        in_force = rules_in_force(session, desk, ground)
    now = desk.office.now()
    table = [
        Row(
            category,
            tuple((one, decide_category(snapshot, document.log, one.id, category.id, now)) for one in chosen),
        )
        for category in ground.taxonomy.categories.values()
    ]
    return desk.page(
        "rules.html",
        in_force=[one for one in in_force if not group or not one.rule.groups or group in one.rule.groups],
        table=table if groups else [],
        groups=groups,
        group=group if len(chosen) == 1 else "",
        networks=[(network, who(document, (network.group,))) for network in document.networks]
        if isinstance(document, SchoolPolicy)
        else [],
        beside=[(one, tuple(in_words(way_of(one)))) for one in document.passages]
        if isinstance(document, SchoolPolicy)
        else [],
        unknown=[(one.name, ground.taxonomy.unknown[one.phase]) for one in chosen],
        authority=snapshot.authority.name,
        school=document if isinstance(document, SchoolPolicy) else None,
        suspensions=_suspensions(document, now),
        unknown_rules=[
            (rule, who(document, rule.groups), site_wishes.SIGNS[rule.sign])
            for rule in (document.unknown_rules if isinstance(document, SchoolPolicy) else ())
        ],
        windows=hour_wishes.windows_in_words,
        phases=group_wishes.PHASE_WORDS,
        looks=group_wishes.looked_into,
        zone=words.ZONE,
    )
