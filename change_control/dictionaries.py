"""Dictionaries: from accepted lists to one compiled index, everything named by its content.

A school's policy names the dictionary it decides with by digest, so accepting a list is a change like any other: from the
old digest to the new one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from category_lists import index, taxonomy
from category_lists.lists import ListVersion, starter
from policy import search_engines
from policy.live import Objects
from policy.rules import Dictionary, ListRef, read, write

STARTER = "starter-"  # how the ids of the shipped lists begin


def reference(version: ListVersion) -> ListRef:
    return ListRef(version.id, version.category, version.version, version.digest, version.entries)


class Dictionaries:
    """The dictionaries of an installation, in its objects folder; normalised lists are in its lists folder."""

    def __init__(self, data: Path) -> None:
        self.objects = Objects(data)
        self._made: dict[object, str] = {}  # what was compiled already: every school asks for the same
        self.lists = data / "lists"

    def first(self, progress: Callable[[int], None] | None = None) -> str:
        """The dictionary that ships with the product: starter lists, taxonomy, search engines. Returns its digest."""
        shipped = starter()
        for version, path in shipped:
            self._adopt(version, path)
        texts = (self.objects.put(taxonomy.load().to_json()), self.objects.put(search_engines.load().to_json()))
        return self._compile([version for version, _ in shipped], progress, texts)

    def with_list(self, dictionary: str, version: ListVersion, progress: Callable[[int], None] | None = None) -> str:
        """The dictionary that a dictionary becomes with a list added, or put in the place of its older version."""
        named = self.named(dictionary)
        versions = [self._version(ref) for ref in named.lists if ref.id != version.id]
        return self._compile([*versions, version], progress, (named.taxonomy, named.engines))

    def with_defaults(self, dictionary: str, progress: Callable[[int], None] | None = None) -> str:
        """The dictionary that a dictionary becomes with what this version ships: starter lists, taxonomy, search engines.

        Lists that were taken in stay; a starter list that is shipped no more goes. The same digest: nothing is new.
        """
        named, shipped = self.named(dictionary), starter()
        fresh = {reference(version) for version, _ in shipped}
        kept = {ref for ref in named.lists if not ref.id.startswith(STARTER)}
        new_taxonomy, new_engines = taxonomy.load(), search_engines.load()
        if (set(named.lists), named.taxonomy, named.engines) == (fresh | kept, new_taxonomy.digest, new_engines.digest):
            return dictionary
        for version, path in shipped:
            self._adopt(version, path)
        texts = (self.objects.put(new_taxonomy.to_json()), self.objects.put(new_engines.to_json()))
        return self._compile([self._version(ref) for ref in fresh | kept], progress, texts)

    def named(self, digest: str) -> Dictionary:
        return read(Dictionary, self.objects.text(digest))

    def taxonomy(self, digest: str) -> taxonomy.Taxonomy:
        return taxonomy.Taxonomy.from_json(self.objects.text(self.named(digest).taxonomy))

    def _compile(self, versions: list[ListVersion], progress: Callable[[int], None] | None, texts: tuple[str, str]) -> str:
        """Compile the index and name everything; `texts` are the digests of the taxonomy and of the search engines."""
        versions = sorted(versions, key=lambda version: version.id)
        asked = (tuple(reference(version) for version in versions), texts)
        if asked in self._made:
            return self._made[asked]
        aside = self.objects.folder / ".compiling.idx"
        aside.parent.mkdir(parents=True, exist_ok=True)
        made = index.compile_index([(version, self._path(version)) for version in versions], aside, progress=progress)
        aside.replace(self.objects.path(made, "idx"))
        digest = self._made[asked] = self.objects.put(
            write(
                Dictionary(
                    index=made,
                    taxonomy=texts[0],
                    engines=texts[1],
                    lists=asked[0],
                )
            )
        )
        return digest

    def _path(self, version: ListVersion) -> Path:
        return self.lists / version.id / f"{version.digest}.txt"

    def _adopt(self, version: ListVersion, path: Path) -> None:
        target = self._path(version)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = target.with_suffix(".aside")
            aside.write_bytes(path.read_bytes())
            aside.replace(target)

    def _version(self, ref: ListRef) -> ListVersion:
        return ListVersion(
            id=ref.id,
            category=ref.category,
            version=ref.version,
            digest=ref.digest,
            entries=ref.entries,
            source="",
            format="normal",
        )


def covered_by_mandate(category: taxonomy.Category, unknown: Mapping[str, str], exceptions: int) -> str:
    """Why a list may not be taken in under a mandate, "" when it may.

    Adding names to a category is proven to tighten only if, at every age, the category's answer is at least that for unknown
    names, its sites are still looked at, and the list takes nothing out of other lists.
    """
    strictness = {"allow": 0, "restrict": 1, "warn": 2, "block": 3}
    if category.locked:
        return f"{category.name} comes only as a licensed, sealed bundle"
    if category.essential or category.never_inspect:
        return f"{category.name} opens sites or keeps them from being looked at, so each list of it waits for the headteacher"
    if any(strictness[category.phases[phase]] < strictness[answer] for phase, answer in unknown.items()):
        return f"{category.name} is milder than what unknown sites get, so each list of it waits for the headteacher"
    if exceptions:
        return f"the list opens {exceptions} sites, so it waits for the headteacher"
    return ""
