"""A policy as plain JSON, built up by the diffs of a change log, for the replay to hold against what was signed. Pure.

Not the values of `policy/rules.py`: so a verifier needs none of the rule book, and an old log is read as it was written.
"""

from collections.abc import Mapping
from typing import Any

from policy.proof import canonical_part

ALWAYS_WRITTEN = frozenset({"groups", "networks", "timetables", "site_rules", "category_rules"})


class DoesNotFit(ValueError):
    """The diff was made on another ground than the policy it meets."""


class Policy:
    """A policy document while diffs are applied to it: each value with its canonical text, so that one more rule among two
    hundred costs one rule and not two hundred.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._plain: dict[str, str] = {}
        self._lists: dict[str, dict[str, str]] = {}
        self._joined: dict[str, str] = {}
        self._founded = frozenset(document)
        for name, value in document.items():
            if isinstance(value, list) and all(isinstance(one, dict) and "id" in one for one in value):
                self._lists[name] = {str(one["id"]): canonical_part(one) for one in value}
            else:
                self._plain[name] = canonical_part(value)

    def apply(self, diff: Mapping[str, Any]) -> None:
        for name in sorted({*diff["add"], *diff["remove"]}):
            if name in self._plain:
                raise DoesNotFit(f"a policy has no {name!r}")
            values = self._lists.setdefault(name, {})
            for gone in diff["remove"].get(name, ()):
                if values.pop(str(gone["id"]), None) != canonical_part(gone):
                    raise DoesNotFit(f"{gone['id']} is not in the policy as this change knew it")
            for new in diff["add"].get(name, ()):
                if str(new["id"]) in values:
                    raise DoesNotFit(f"{new['id']} is in the policy already")
                values[str(new["id"])] = canonical_part(new)
            self._lists[name] = dict(sorted(values.items()))
            self._joined.pop(name, None)
        for name, (old, new) in diff["set"].items():
            if name in self._lists:
                raise DoesNotFit(f"a policy has no {name!r} to set")
            if self._plain.get(name, canonical_part(old) if not old else "") != canonical_part(old):
                raise DoesNotFit(f"{name} has been changed since")
            self._plain[name] = canonical_part(new)
            if not new and name not in self._founded:
                del self._plain[name]  # an empty value of a younger field leaves no trace

    def text(self) -> str:
        """The one canonical text of the document."""
        parts = dict(self._plain)
        for name, values in self._lists.items():
            if values or name in ALWAYS_WRITTEN:
                if name not in self._joined:
                    self._joined[name] = f"[{','.join(values.values())}]"
                parts[name] = self._joined[name]
        return "{" + ",".join(f'"{name}":{parts[name]}' for name in sorted(parts)) + "}"
