"""The authority's rules reach a school only when its headteacher lets them: by a mandate signed beforehand, or one by one.

A change in the authority's log makes another document of the authority. Each school's policy names, by digest, the document
that it accepted. So to accept is a change like any other, of kind `authority`: from the old digest to the new, with the rules
that come and go written out, for her to see and for the sentence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from category_lists.taxonomy import Taxonomy
from change_control import standing
from change_control.diffs import Diff, make, plain
from change_control.lifecycle import Act, State
from change_control.tables import ChangeRow, LogRow
from policy.proof import digest
from policy.rules import AuthorityPolicy, CategoryRule, Document, SchoolPolicy, SiteRule, read, write

if TYPE_CHECKING:
    from change_control.service import Office

KIND = "authority"
OFFICER = ("la_officer",)  # on whose behalf the machine acts under a mandate for the authority's rules
RULES = ("site_rules", "category_rules")


def between(old: AuthorityPolicy, new: AuthorityPolicy) -> dict[str, dict[str, list[Any]]]:
    """The rules that come and go from one document of the authority to another."""
    found: dict[str, dict[str, list[Any]]] = {"add": {}, "remove": {}}
    for name in RULES:
        was: Sequence[SiteRule | CategoryRule] = getattr(old, name)
        will: Sequence[SiteRule | CategoryRule] = getattr(new, name)
        for side, some in (("add", set(will) - set(was)), ("remove", set(was) - set(will))):
            if some:
                found[side][name] = [plain(rule) for rule in sorted(some, key=lambda rule: rule.id)]
    return found


@dataclass(frozen=True, slots=True)
class AcceptWish:
    """A school accepts the authority's rules as they stand now."""

    old: AuthorityPolicy
    new: AuthorityPolicy

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        if not isinstance(document, SchoolPolicy):
            raise ValueError("only schools accept the authority's rules")  # noqa: TRY004 - shown to the person who asked
        wanted = digest(write(self.new))
        if document.authority == wanted:
            raise ValueError("these rules are in force already")
        made = make(KIND, change, values={"authority": (document.authority, wanted)})
        return {**made, "rules": between(self.old, self.new)}


def accepted(office: "Office", school: SchoolPolicy) -> AuthorityPolicy:
    """The authority's document that a school goes by."""
    return read(AuthorityPolicy, office.dictionaries.objects.text(school.authority))


def offer(office: "Office", session: Session) -> list[ChangeRow]:
    """Bring the authority's document in force before every school that goes by another one.

    Under a mandate for authority rules it is in force there at once, to be ratified; else it waits for her. What was offered
    before and still waits is withdrawn: she decides on the rules as they stand now.
    """
    force = office.book(session, office.key.authority).in_force()
    if force is None or not isinstance(force.document, AuthorityPolicy):
        return []
    office.dictionaries.objects.put(force.text)  # schools name it by its digest
    schools = session.scalars(select(LogRow.id).where(LogRow.tier == "school").order_by(LogRow.id)).all()
    return [row for log in schools if (row := _offer_to(office, session, log, force.document))]


def _offer_to(office: "Office", session: Session, log: str, new: AuthorityPolicy) -> ChangeRow | None:
    book = office.book(session, log)
    force = book.in_force()
    if force is None or not isinstance(force.document, SchoolPolicy):
        return None
    wanted = digest(write(new))
    waiting = select(ChangeRow).where(ChangeRow.log == log, ChangeRow.kind == KIND, ChangeRow.state == State.REQUESTED)
    for row in session.scalars(waiting).all():
        office.note(session, book, row, Act.WITHDRAW, None, "")
    if force.document.authority == wanted:
        return None
    row = office.request(
        session,
        log,
        AcceptWish(accepted(office, force.document), new),
        by=None,
        reason=f"{new.name} changed its rules for all schools",
        source="console",
        asker=new.name,
    )
    mandate = standing.mandate_for(office, session, log, OFFICER, KIND, glass=False)
    if mandate is not None:
        diff = office.diff_of(row)
        office.put_in_force(office.book(session, log), row, diff, Act.MANDATE, None, {"mandate": mandate["n"]}, roles=OFFICER)
        row.ratify_by = office.now() + timedelta(days=int(mandate["mandate"]["ratify_days"]))
    return row


def whom(rule: Mapping[str, Any], authority: str) -> str:
    """Whom a rule of the authority is for, as its sentence begins."""
    phases = rule.get("phases") or ()
    who = f"Those of {' and '.join(phases)}" if phases else "Everyone"
    return f"{who} in every school of {authority}"


def standing_of(rule: Mapping[str, Any]) -> str:
    """Whether a school may decide otherwise."""
    return "No school can change this" if rule["mandatory"] else "A school may decide otherwise"
