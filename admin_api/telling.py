"""Changes and entries as people read them: who asked for what, why, where it stands."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from admin_api import words
from admin_api.deps import Services
from category_lists.taxonomy import Taxonomy
from change_control import changes
from change_control.authority import PUPILS
from change_control.book import CONSOLE
from change_control.changes import Diff
from change_control.screening import BLOCK_PAGE
from change_control.service import FILTER
from change_control.tables import ChangeRow, EntryRow, PersonRow
from policy.proof import Entry, digest
from policy.rules import Document, SchoolPolicy
from policy.snapshot import Snapshot
from policy.words import uk_end

BY_NATURE = {BLOCK_PAGE: "someone at the block page", CONSOLE: "the machine’s console", FILTER: "the filter itself"}


@dataclass(frozen=True, slots=True)
class Ground:
    """The policy in force of one log and the taxonomy it speaks of: what sentences are told on."""

    document: Document
    taxonomy: Taxonomy

    @classmethod
    def of(cls, snapshot: Snapshot, log: str) -> "Ground":
        document = snapshot.schools.get(log) or snapshot.authority
        return cls(document, snapshot.dictionaries[document.dictionary].taxonomy)

    def sentence(self, diff: Diff) -> str:
        return changes.sentence(diff, self.document, self.taxonomy)

    def category(self, category: str) -> str:
        known = self.taxonomy.categories.get(category)
        return known.name if known else category


@dataclass(frozen=True, slots=True)
class Told:
    """One change, ready for a page."""

    id: int
    log: str
    kind: str
    state: str
    sentence: str
    diff: Diff
    digest: str
    asked_by: str
    asked_at: datetime
    reason: str
    source: str
    until: datetime | None
    decided_by: str
    decided_at: datetime | None
    refusal: str
    ratify_by: datetime | None
    entry: int | None
    reverses: int | None

    @property
    def fingerprint(self) -> str:
        return words.fingerprint(self.digest)

    @property
    def sites(self) -> str:
        """The site that the change is about, "" when it is about none."""
        sides = (self.diff["add"], self.diff["remove"])
        return next((rule["host"] + rule["path"] for side in sides for rule in side.get("site_rules", ())), "")

    @property
    def opens_path(self) -> str:
        """The path that would open alone, "" when the change opens none."""
        opened = self.diff["add"].get("site_rules", ())
        return next((rule["host"] + rule["path"] for rule in opened if rule["path"] and rule["action"] != "block"), "")


def tell(session: Session, services: Services, ground: Ground, rows: Iterable[ChangeRow]) -> tuple[Told, ...]:
    rows = tuple(rows)
    who = names(session, {row.requested_by for row in rows} | {row.decided_by or "" for row in rows})
    return tuple(_told(session, services, ground, row, who) for row in rows)


def _told(session: Session, services: Services, ground: Ground, row: ChangeRow, who: Mapping[str, str]) -> Told:
    diff: Diff = json.loads(row.diff)
    detail = services.office.detail(session, row.id)
    asker = detail.get("asker") or who.get(row.requested_by, "someone")
    return Told(
        id=row.id,
        log=row.log,
        kind=row.kind,
        state=row.state,
        sentence=_sentence(session, ground, row, diff),
        diff=diff,
        digest=digest(row.diff),
        asked_by=asker,
        asked_at=row.requested_at,
        reason=detail.get("reason", ""),
        source=row.source,
        until=row.until,
        decided_by=who.get(row.decided_by or "", ""),
        decided_at=row.decided_at,
        refusal=services.office.detail(session, row.id, "refuse").get("reason", "") if row.state == "refused" else "",
        ratify_by=row.ratify_by,
        entry=row.entry,
        reverses=row.reverses,
    )


def _sentence(session: Session, ground: Ground, row: ChangeRow, diff: Diff) -> str:
    said = ground.sentence(diff)
    if row.reverses is not None and (earlier := session.get(ChangeRow, row.reverses)):
        said += f" That change was: {ground.sentence(json.loads(earlier.diff))}"
    return said


def names(session: Session, ids: Iterable[str]) -> dict[str, str]:
    """The names that go with pseudonyms; those of nobody say what they are."""
    wanted = {each for each in ids if each}
    known = {row.id: row.name for row in session.scalars(select(PersonRow).where(PersonRow.id.in_(wanted)))}
    return {each: known.get(each) or _by_nature(each) for each in wanted}


def _by_nature(each: str) -> str:
    if each.startswith("feed:"):
        return f"the feed {each.removeprefix('feed:')}"
    return BY_NATURE.get(each, "someone who is no longer here")


@dataclass(frozen=True, slots=True)
class Noted:
    """One entry of the change log, ready for a page."""

    n: int
    at: datetime
    what: str
    sentence: str
    who: str
    change: int | None
    rests_on: str


def note(entry: Entry, row: EntryRow, ground: Ground, who: Mapping[str, str]) -> Noted:
    diff = entry.get("diff")
    sentence = ground.sentence(diff) if diff else ""
    if entry["kind"] in {"person.invited", "person.enrolled"}:
        roles = entry["roles"] if "roles" in entry else entry["invite"]["roles"]
        sentence = ", ".join(words.ROLES.get(role, role) for role in roles)
    if entry["kind"] in {"mandate.signed", "delegation.signed"}:
        sentence = standing_sentence(entry, who, ground.document)
    if "revoked" in entry:
        sentence = f"Entry {entry['revoked']['of']} ends."
    if entry["kind"] == "person.released":
        sentence = f"{who.get(str(entry['person']), 'Someone')} holds no role here any more."
    actor = entry.get("by") or entry.get("person") or entry.get("requested_by") or ""
    what = words.ENTRIES.get(str(entry["kind"]), str(entry["kind"]))
    return Noted(row.n, row.at, what, sentence, who.get(actor, ""), row.change, _rests(entry, who))


def _rests(entry: Entry, who: Mapping[str, str]) -> str:
    rests = entry.get("rests_on") or {}
    if signatures := rests.get("signatures"):
        signed = " and ".join(who.get(str(one["person"]), "someone") for one in signatures)
        factors = {words.FACTORS.get(str(one.get("factor")), str(one.get("factor"))) for one in signatures}
        text = f"signed by {signed}, with {' and '.join(sorted(factors))}"
        if "delegation" in rests:
            text += f", under the delegation in entry {rests['delegation']}"
        if "mandate" in rests:
            glass = "broken glass of the " if rests.get("glass") else ""
            text += f"; rests on the {glass}mandate in entry {rests['mandate']}"
        return text
    if "mandate" in rests:
        return f"rests on the standing mandate in entry {rests['mandate']}"
    if "invited" in rests:
        return f"rests on the invitation in entry {rests['invited']}"
    if "code" in rests:
        return "by a one-time code from the machine’s console"
    return "the first entry" if rests.get("founding") else ""


def actors(entry: Entry) -> set[str]:
    """The pseudonyms in an entry."""
    signatures = (entry.get("rests_on") or {}).get("signatures") or ()
    found = {str(entry.get(name) or "") for name in ("by", "person", "requested_by")}
    found.add(str((entry.get("delegation") or {}).get("person") or ""))
    return found | {str(one["person"]) for one in signatures}


def _roles(roles: Iterable[str]) -> str:
    return " and ".join(words.role_within(role) for role in roles)


MANDATED = {
    "dictionary": "take in lists",
    "authority": "bring in the authority’s rules",
    "site": "block a site at once",
    "suspension": "suspend internet access at once",
}


def mandate_sentence(entry: Entry) -> str:
    terms = entry["mandate"]
    until = uk_end(datetime.fromisoformat(terms["until"]))
    if terms.get("break_glass"):
        return (
            f"Two of these together may open or block a site in an emergency, for 24 hours, until {until}: "
            f"{_roles(terms['roles'])}. The headteacher ratifies it, or it goes back by itself."
        )
    days = words.many(int(terms["ratify_days"]), "day")
    does = " and ".join(MANDATED.get(kind, kind) for kind in terms["kinds"])
    return f"The {_roles(terms['roles'])} may {does} until {until}; the headteacher ratifies each within {days}."


def delegation_sentence(entry: Entry, who: Mapping[str, str], document: Document | None) -> str:
    terms = entry["delegation"]
    begins, ends = (uk_end(datetime.fromisoformat(terms[name])) for name in ("from", "until"))
    kinds = ", ".join(words.CHANGE_KINDS.get(kind, kind) for kind in terms["kinds"] if kind != PUPILS)
    person = who.get(str(terms["person"]), "someone")
    said = [f"{person} may approve in the headteacher’s place from {begins} to {ends}: {kinds}."] if kinds else []
    if PUPILS in terms["kinds"]:
        said.append(
            f"{person} looks first at what {_pupils(terms, document)} ask for from the block page, from {begins} to {ends}, "
            "and passes it on or refuses it."
        )
    return " ".join(said)


def _pupils(terms: Mapping[str, Any], document: Document | None) -> str:
    if "groups" not in terms:
        return "pupils"
    known = {group.id: group.name for group in document.groups} if isinstance(document, SchoolPolicy) else {}
    return f"pupils in {' and '.join(known.get(group, group) for group in terms['groups'])}"


def invitation_sentence(name: str, terms: Mapping[str, Any]) -> str:
    return f"{name} is invited as {_roles(terms['roles'])}."


def standing_sentence(entry: Entry, who: Mapping[str, str], document: Document | None) -> str:
    """A mandate, a delegation or a subscription in a sentence; the policy names its groups."""
    if entry["kind"] == "change.approved":
        terms = entry["diff"]["terms"]
        until = uk_end(datetime.fromisoformat(terms["until"]))
        return f"The subscription to {terms['feed']['name']}, which lets updates within its bounds take effect until {until}."
    return delegation_sentence(entry, who, document) if entry["kind"] == "delegation.signed" else mandate_sentence(entry)
