"""How a visitor sees people: pseudonyms until she gave a reason, and only those whom her role may see at all."""

from admin_api.deps import Desk
from monitoring import devices
from monitoring.captures import subjects_for
from monitoring.log import Log
from monitoring.masks import Eyes, Masks
from policy.identity import waiting_group
from policy.rules import SchoolPolicy


def filter_log(desk: Desk) -> Log:
    if desk.services.log is None:
        raise LookupError("there is no filter log on this machine")
    return desk.services.log


def masks(log: Log) -> Masks:
    return Masks(log)


def phases(desk: Desk) -> dict[str, str]:
    """The phase of each group of the school."""
    document = desk.services.snapshot().schools.get(desk.place.log)
    return {group.id: group.phase for group in document.groups} if isinstance(document, SchoolPolicy) else {}


def eyes(desk: Desk) -> Eyes:
    log = filter_log(desk)
    made = masks(log)
    shown = made.shown(desk.place.log, desk.visitor.person.id, desk.office.now())
    found: dict[str, str] = {}

    def known(who: str) -> str:
        if who not in found:
            found[who] = devices.called(log, desk.place.log, [who]).get(who, who)
        return found[who]

    return Eyes(made, desk.place.log, shown, phases(desk), known)


def hidden_groups(desk: Desk) -> tuple[str, ...]:
    """The groups whose lines this visitor may not read: what staff do is the headteacher's to see, and nobody else's."""
    if "staff" in subjects_for(desk.place.roles):
        return ()
    return tuple(sorted(group for group, phase in phases(desk).items() if phase == "staff"))


def uncounted_groups(desk: Desk) -> tuple[str, ...]:
    """Those, and devices on which nobody had signed in yet: all that was refused to these says nothing of any site."""
    document = desk.services.snapshot().schools.get(desk.place.log)
    portals = document.portals if isinstance(document, SchoolPolicy) else ()
    return (*hidden_groups(desk), *(waiting_group(portal.network) for portal in portals))


def looker(desk: Desk) -> str:
    """Whom a police hold keeps from: blank for the headteacher, or whoever stands in her place about herself."""
    subjects = my_subjects(desk)
    return "" if "headteacher" in desk.place.roles or "pupil" not in subjects else desk.visitor.person.id


def my_subjects(desk: Desk) -> frozenset[str]:
    return subjects_for(desk.place.roles)
