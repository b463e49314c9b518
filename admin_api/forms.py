"""What people typed, read at the door: the token of the form checked, each field a value that is right or a `Wrong`."""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Request

from admin_api.auth import COOKIE, SAFE, token_holds
from admin_api.deps import services
from category_lists.names import canonical_site, shown
from change_control.changes import CategoryWish, NetworkWish, SiteWish
from policy.rules import Action

NO_CONTROL = {code: None for code in range(32) if code not in (9, 10, 13)} | {127: None}
EVERYONE = "*"  # the box "everyone at the school": said on purpose, never by leaving all boxes empty


class Wrong(ValueError):
    """Fields that cannot be taken as they are: a sentence for each, in the order of the form."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = dict(fields)


class ForgedForm(Exception):
    """The form does not carry the token of this session."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it was sent in."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def text(self, name: str, longest: int = 2000) -> str:
        return next(iter(self.values.get(name, ())), "").strip()[:longest]

    def many(self, name: str) -> tuple[str, ...]:
        return tuple(self.values.get(name, ()))


async def filled(request: Request) -> Filled:
    """The form of an unsafe request; ForgedForm unless it carries its session's token."""
    if request.method in SAFE:
        return Filled()
    values: dict[str, list[str]] = {}
    async with request.form(max_files=0, max_fields=200) as form:
        for name, value in form.multi_items():
            if isinstance(value, str):
                values.setdefault(name, []).append(tidy(value))
    found = Filled(values)
    cookie = request.cookies.get(COOKIE, "")
    if cookie and not token_holds(services(request).registry.desk_secret, cookie, found.text("token")):
        raise ForgedForm
    return found


Form = Annotated[Filled, Depends(filled)]


def tidy(text: str) -> str:
    """Without control characters, and without halves of characters, which no database keeps."""
    return text.translate(NO_CONTROL).encode("utf-8", "replace").decode()


def last_moment(text: str, zone: str) -> datetime | None:
    """The end of a day given as 2026-12-18 or 18/12/2026; None for nothing; ValueError for anything else."""
    text = text.strip()
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,2})[/. ](\d{1,2})[/. ](\d{4})", text)
    try:
        chosen = date(int(found[3]), int(found[2]), int(found[1])) if found else date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{shown(text, 30)} is not a date; write it as 18/12/2026") from None
    return datetime.combine(chosen, time(23, 59), ZoneInfo(zone)).astimezone(UTC)


def moment(text: str, zone: str) -> datetime | None:
    """A moment as a form (2026-12-18T11:05, the school's time) or a script (RFC 3339) gives it."""
    if not text.strip():
        return None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{shown(text, 30)} is not a date and time; write it as 2026-12-18T11:05") from None
    if not 2000 <= at.year <= 2200:
        raise ValueError("the year must lie between 2000 and 2200")
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def _action(text: str) -> Action:
    if text not in {"allow", "warn", "block"}:
        raise ValueError("choose whether it is opened, opened after a warning, or blocked")
    return Action(text)


def groups_chosen(chosen: Sequence[str]) -> tuple[str, ...]:
    if not chosen:
        raise ValueError("choose at least one group, or everyone")
    return () if EVERYONE in chosen else tuple(chosen)


def site_wish(site: str, action: str, groups: Sequence[str], until: str, zone: str, during: str = "") -> SiteWish:
    """A site for groups until a date; Wrong names every field that cannot be taken."""
    wrong = Checks()
    if not site.strip():
        wrong.fields["site"] = "give a site, such as bbc.co.uk/bitesize"
    else:
        wrong.check("site", lambda: canonical_site(site))
    does = wrong.check("action", lambda: _action(action))
    who = wrong.check("groups", lambda: groups_chosen(groups))
    ends = wrong.check("until", lambda: last_moment(until, zone))
    wrong.done()
    return SiteWish(site.strip(), does or Action.BLOCK, who or (), ends, during.strip() or None)


def category_wish(category: str, action: str, groups: Sequence[str], until: str, zone: str, during: str = "") -> CategoryWish:
    wrong = Checks()
    if not category:
        wrong.fields["category"] = "choose a category"
    does = wrong.check("action", lambda: _action(action))
    who = wrong.check("groups", lambda: groups_chosen(groups))
    ends = wrong.check("until", lambda: last_moment(until, zone))
    wrong.done()
    return CategoryWish(category, does or Action.BLOCK, who or (), ends, during.strip() or None)


def network_wish(prefix: str, group: str, listener: str = "*", *, forced: bool = False) -> NetworkWish:
    wrong = Checks()
    network = wrong.check("prefix", lambda: _network(prefix))
    if not group:
        wrong.fields["group"] = "choose the group that these devices belong to"
    wrong.done()
    return NetworkWish(network or "", group, listener.strip() or "*", forced)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError:
        raise ValueError(f"{shown(text, 50)} is not a network; write it as 10.20.0.0/16") from None


class Checks:
    """Collects what is wrong, so that a form says all of it at once."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def check[T](self, name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ValueError as error:
            self.fields[name] = str(error)
            return None

    def done(self) -> None:
        if self.fields:
            raise Wrong(self.fields)
