"""How far a list may change by itself under a subscription, checked wherever an update is looked at.

The headteacher signs the bounds with the subscription; the updater checks them before it acts, every worker checks them in
the proof, and the replay of the change log checks them again. Pure: what is compared stands in the entry itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_VOUCHING: Final = "vouching-"  # lists that also open sites (weigh.py); here once more, as this file is read alone, too
_ABOVE: Final = ("starter-", "corrections-")  # what the product or a school itself says, above every other list


def outside(lists: Sequence[Mapping[str, Any]], bounds: Mapping[str, Any]) -> list[str]:
    """Why these lists may not take effect by themselves, one plain half-sentence each; empty when they may."""
    if not lists:
        return ["it names no list"]
    return [why for one in lists for why in _outside(one, bounds)]


def opening(lists: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which of these lists open sites, and so never come in by a mandate that says nothing of that."""
    some = [one for one in lists if str(one["id"]).startswith((_VOUCHING, *_ABOVE)) or int(one.get("exceptions") or 0)]
    return [f"{one['id']} opens sites" for one in some]


def _outside(one: Mapping[str, Any], bounds: Mapping[str, Any]) -> list[str]:
    name, before = str(one["id"]), int(one["before"])
    entries, added, removed = int(one["entries"]), int(one["added"]), int(one["removed"])
    why = []
    if one["category"] not in bounds["categories"]:
        why.append(f"{name} is in a category that the subscription does not name")
    if entries > int(bounds["max_entries"]):
        why.append(f"{name} has {entries:,} entries, more than {int(bounds['max_entries']):,}")
    if before and removed * 100 > before * int(bounds["max_shrink_percent"]):
        why.append(f"{name} loses {removed:,} of {before:,} entries, more than {int(bounds['max_shrink_percent'])}%")
    if before and added * 100 > before * int(bounds["max_growth_percent"]):
        why.append(f"{name} gains {added:,} entries on {before:,}, more than {int(bounds['max_growth_percent'])}%")
    if name.startswith(_VOUCHING) and bounds.get("vouches") is not True:
        why.append(f"{name} vouches for sites, and the subscription does not say so")
    if name.startswith(_ABOVE):
        why.append(f"{name} is called as only lists of the product or a school's own corrections are")
    if int(one["exceptions"]):
        why.append(f"{name} opens {int(one['exceptions']):,} sites")
    if before - removed + added != entries:
        why.append(f"{name} is counted wrongly")
    return why
