"""/lists/categories: every category explained, with what each age gets of it; the statement that a school publishes."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import list_state
from admin_api.deps import Desk
from admin_api.permissions import at
from admin_api.telling import Ground
from category_lists import rationale
from category_lists.taxonomy import ACTIONS, PHASES, Category
from change_control.authority import Permission
from change_control.group_wishes import PHASE_WORDS

router = APIRouter()

type Explained = tuple[Category, rationale.Rationale | None, list[tuple[str, str]], int, int]


@router.get("/lists/categories")
def categories(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Response:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    listed = desk.office.dictionaries.named(ground.document.dictionary).lists
    known = rationale.load()
    kinds: dict[str, list[Explained]] = {}
    for one in ground.taxonomy.categories.values():
        of_it = [ref.entries for ref in listed if ref.category == one.id]
        kinds.setdefault(one.group, []).append((one, known.get(one.id), by_age(one), len(of_it), sum(of_it)))
    return desk.page(
        "list_categories.html",
        kinds=kinds,
        over_blocking=rationale.OVER_BLOCKING,
        sealed=list_state.sealed_list(desk, ground),
    )


def by_age(category: Category) -> list[tuple[str, str]]:
    """Each action that a category gives, and for whom, the strictest first."""
    found = []
    for action in reversed(ACTIONS):
        ages = [PHASE_WORDS[phase] for phase in PHASES if category.phases[phase] == action]
        if ages:
            found.append((action, "everyone" if len(ages) == len(PHASES) else ", ".join(ages).capitalize()))
    return found
