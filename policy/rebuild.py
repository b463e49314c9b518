"""Taking a change of the dictionary back when others have come after it.

The theory. A dictionary is named by its content, so a change of lists is a pair of names, [before, after]. To undo it exactly
is possible only as long as `after` is still in force. Lists change daily, so mostly it is not; then the dictionary in force
is *rebuilt*: of what the change brought, whatever is still as it brought it goes back to what was before, and everything else
stays as it is. A list that somebody has signed a newer version of since is no longer that change's, so it stays.

The diff that does this carries the texts of the four dictionaries, so that whoever checks a proof can work out the same from
what stands in the entry alone, and needs no file: each text must have the digest by which it is named, and the last one must
be what `rebuilt` makes of the first three. Only the digest of the compiled index is taken on trust, as it is for every
dictionary. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

_STAYS: Final = frozenset(("sealed",))  # what no one takes out, by whatever way
_COMPILED: Final = "index"


def rebuilt(before: str, after: str, now: str) -> dict[str, Any]:
    """The fields, but for the index, of the dictionary `now` without what led from `before` to `after`. All are texts."""
    old, new, found = (json.loads(text) for text in (before, after, now))
    lists = {one["id"]: one for one in found["lists"]}
    was, came = ({one["id"]: one for one in each["lists"]} for each in (old, new))
    for name in {*was, *came}:
        if was.get(name) == came.get(name) or lists.get(name) != came.get(name):
            continue  # the change did not touch it, or something later did
        if name in was:
            lists[name] = was[name]
        else:
            del lists[name]
    fields = {name: value for name, value in found.items() if name not in {_COMPILED, "lists"}}
    for name in {*old, *new} - {_COMPILED, "lists", *_STAYS}:
        if old.get(name) != new.get(name) and found.get(name) == new.get(name):
            fields[name] = old.get(name)
    kept = {name: value for name, value in fields.items() if value is not None}
    return {**kept, "lists": [lists[name] for name in sorted(lists)]}


def takes_back(taken: Mapping[str, Any], diff: Mapping[str, Any]) -> bool:
    """Does a diff rebuild the dictionary without the change `taken`, and do nothing else? It proves so by itself."""
    try:
        before, after = taken["set"]["dictionary"]
        now, wanted = diff["set"]["dictionary"]
        texts = {name: str(diff["dictionaries"][name]) for name in (before, after, now, wanted)}
        if any(hashlib.sha256(text.encode()).hexdigest() != name for name, text in texts.items()):
            return False
        made = {name: value for name, value in json.loads(texts[wanted]).items() if name != _COMPILED}
        made["lists"] = sorted(made["lists"], key=lambda one: str(one["id"]))
        shape = {"kind": "reverse", "change": taken["change"], "add": {}, "remove": {}}
        alone = not taken["add"] and not taken["remove"] and set(taken["set"]) == set(diff["set"]) == {"dictionary"}
        return (
            alone
            and set(diff) == {*shape, "set", "dictionaries"}
            and {name: diff[name] for name in shape} == shape
            and set(diff["dictionaries"]) == set(texts)
            and made == rebuilt(texts[before], texts[after], texts[now])
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return False
