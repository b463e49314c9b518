"""Dictionaries: from accepted lists to one compiled index, everything named by its content.

A school's policy names the dictionary it decides with by digest, so accepting a list is a change like any other: from the
old digest to the new one.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from category_lists import classifier, essentials, examples, index, phrases, taxonomy, train
from category_lists.corrections import PREFIX
from category_lists.lists import ListVersion, Progress, starter
from category_lists.names import parents
from category_lists.taxonomy import Category
from policy import rebuild, search_engines
from policy.live import Objects, write_aside
from policy.proof import canonical
from policy.rules import Dictionary, ListRef, read, write

LEARN_FROM = 50_000  # names in lists of others, from which on a model of one's own is worth its half minute
LEARN_AGAIN_PERCENT = 20  # more or fewer names than the model saw, before it is learned anew
STARTER = "starter-"  # how the ids of the shipped lists begin


type Texts = tuple[str, str, str]  # digests of taxonomy, search engines and phrase sets
type Lists = Sequence[tuple[ListVersion, Path]]
type Learn = Callable[[Lists, Mapping[str, object], Progress | None], classifier.Model]


def learned_here(lists: Lists, about: Mapping[str, object], progress: Progress | None) -> classifier.Model:
    """A model of names from the lists of this box, beside a share of our own examples."""
    return train.train(examples.box_examples(lists), about, progress)


def _texts(named: Dictionary) -> Texts:
    return named.taxonomy, named.engines, named.phrases


def reference(version: ListVersion) -> ListRef:
    return ListRef(version.id, version.category, version.version, version.digest, version.entries)


class Dictionaries:
    """The dictionaries of an installation, in its objects folder; normalised lists are in its lists folder."""

    def __init__(self, data: Path, *, learn: "Learn | None" = None, learn_from: int = LEARN_FROM) -> None:
        self.objects = Objects(data)
        self._learn, self._learn_from = learn or learned_here, learn_from
        self._made: dict[object, str] = {}  # what was compiled already: every school asks for the same
        self.lists = data / "lists"

    def first(self, progress: Callable[[int], None] | None = None) -> str:
        """The dictionary that ships with the product: starter lists, taxonomy, engines, phrases. Returns its digest."""
        shipped = starter()
        for version, path in shipped:
            self._adopt(version, path)
        texts = self._shipped_texts()
        return self._compile([version for version, _ in shipped], progress, texts, model=self._shipped_model())

    def with_lists(
        self, dictionary: str, versions: Sequence[ListVersion], progress: Callable[[int], None] | None = None
    ) -> str:
        """The dictionary that a dictionary becomes with lists added, or put in the place of their older versions."""
        named, fresh = self.named(dictionary), {version.id for version in versions}
        kept = [self._version(ref) for ref in named.lists if ref.id not in fresh]
        return self._compile([*kept, *versions], progress, _texts(named), named.sealed, named.model)

    def with_list(self, dictionary: str, version: ListVersion, progress: Callable[[int], None] | None = None) -> str:
        """The same for one list."""
        return self.with_lists(dictionary, [version], progress)

    def without_lists(self, dictionary: str, ids: Collection[str], versions: Sequence[ListVersion]) -> str:
        """The dictionary with some lists taken out and others put in."""
        named = self.named(dictionary)
        gone = {*ids, *(version.id for version in versions)}
        kept = [self._version(ref) for ref in named.lists if ref.id not in gone]
        return self._compile([*kept, *versions], None, _texts(named), named.sealed, named.model)

    def rebuilt(self, before: str, after: str, now: str) -> str:
        """The dictionary `now` without what led from `before` to `after` (policy/rebuild.py says what that means)."""
        fields = rebuild.rebuilt(*(self.objects.text(each) for each in (before, after, now)))
        wanted = read(Dictionary, canonical({**fields, "index": ""}))
        if replace(self.named(now), index="") == wanted:
            return now
        refs, texts = [self._version(ref) for ref in wanted.lists], _texts(wanted)
        return self._compile(refs, None, texts, wanted.sealed, wanted.model, learn=False)

    def with_sealed(self, dictionary: str, digest: str) -> str:
        """The dictionary with a sealed list, or a newer one. There is no way to one without."""
        return self.objects.put(write(replace(self.named(dictionary), sealed=digest)))

    def with_defaults(self, dictionary: str, progress: Callable[[int], None] | None = None) -> str:
        """The dictionary that a dictionary becomes with what this version ships: starter lists, taxonomy, engines, phrases.

        Lists that were taken in stay; a starter list that is shipped no more goes. The same digest: nothing is new.
        """
        named, shipped = self.named(dictionary), starter()
        fresh = {reference(version) for version, _ in shipped}
        kept = {ref for ref in named.lists if not ref.id.startswith(STARTER)}
        texts = self._shipped_texts()
        model = named.model if self._learned(named.model) else self._shipped_model()
        if (set(named.lists), _texts(named), named.model) == (fresh | kept, texts, model):
            return dictionary
        for version, path in shipped:
            self._adopt(version, path)
        return self._compile([self._version(ref) for ref in fresh | kept], progress, texts, named.sealed, model)

    def named(self, digest: str) -> Dictionary:
        return read(Dictionary, self.objects.text(digest))

    def taxonomy(self, digest: str) -> taxonomy.Taxonomy:
        return taxonomy.Taxonomy.from_json(self.objects.text(self.named(digest).taxonomy))

    def _compile(
        self,
        versions: list[ListVersion],
        progress: Callable[[int], None] | None,
        texts: Texts,
        sealed: str = "",
        model: str = "",
        *,
        learn: bool = True,
    ) -> str:
        """Compile the index, test it, and name everything; `texts` are the digests of taxonomy, engines and phrases.

        `model` is the model of names so far; it is learned anew where the lists have grown beyond it.
        """
        versions = sorted(versions, key=lambda version: version.id)
        asked = (tuple(reference(version) for version in versions), texts, sealed, model, learn)
        if asked in self._made:
            return self._made[asked]
        aside = self.objects.folder / f".compiling-{os.getpid()}-{secrets.token_hex(8)}.idx"  # the desk may compile as well
        aside.parent.mkdir(parents=True, exist_ok=True)
        made = index.compile_index([(version, self._path(version)) for version in versions], aside, progress=progress)
        self._test(aside, versions)
        aside.replace(self.objects.path(made, "idx"))
        if learn and model:
            model = self._model(versions, model, progress)
        known, engines, phrase_sets = texts
        found = Dictionary(
            index=made, taxonomy=known, engines=engines, lists=asked[0], sealed=sealed, model=model, phrases=phrase_sets
        )
        digest = self._made[asked] = self.objects.put(write(found))
        return digest

    def _shipped_texts(self) -> Texts:
        texts = (taxonomy.load().to_json(), search_engines.load().to_json(), phrases.shipped_text())
        known, engines, phrase_sets = (self.objects.put(text) for text in texts)
        return known, engines, phrase_sets

    # --- the model of names: compiled from the lists, like the index ------------------------------------------------------

    def _shipped_model(self) -> str:
        return self._put_model(classifier.SHIPPED.read_bytes())

    def _put_model(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self.objects.path(digest, "model")
        if not path.exists():
            write_aside(path, data)
        return digest

    def _learned(self, digest: str) -> int:
        """How many names of lists a model was learned from here; 0 for the one that ships, or none."""
        if not digest:
            return 0
        known = self.objects.model(digest).about.get("from_lists", 0)
        return known if isinstance(known, int) else 0

    def _model(self, versions: Sequence[ListVersion], model: str, progress: Callable[[int], None] | None) -> str:
        """The model for these lists: the one there is, or a new one once they hold a good deal more or less than it saw."""
        lists = [(version, self._path(version)) for version in versions if not version.id.startswith((STARTER, PREFIX))]
        names, seen = sum(version.entries for version, _ in lists), self._learned(model)
        if names < self._learn_from:
            return self._shipped_model() if seen else model
        if seen and abs(names - seen) * 100 <= seen * LEARN_AGAIN_PERCENT:
            return model
        about = {"trained_on": "the lists of this installation and our own examples", "from_lists": names}
        try:
            learned = self._learn(lists, about, progress)
        except ValueError:  # many names, but of too few kinds
            return model
        return self._put_model(learned.to_bytes())

    def _test(self, path: Path, versions: Sequence[ListVersion]) -> None:
        """What must stay reachable is known as such in the new index, or the index is not used at all."""
        opened = index.Index.open(path)
        try:
            for row in self.essential_rows(versions):
                host, slash, rest = row.partition("/")
                if essentials.ESSENTIAL not in opened.categories(host, slash + rest if slash else None):
                    raise ValueError(f"the index was not taken: the essential site {row} would not be known as one")
        finally:
            opened.close()

    def essential_rows(self, versions: Sequence[ListVersion]) -> list[str]:
        """Everything that the essential lists among these say."""
        return [
            row
            for version in versions
            if version.category == essentials.ESSENTIAL
            for row in essentials.rows_of(self._path(version))
        ]

    def essential_rows_of(self, named: Dictionary) -> list[str]:
        """Everything that the essential lists of a dictionary say."""
        return self.essential_rows([self._version(ref) for ref in named.lists])

    def protected_name(self, dictionary: str, host: str) -> bool:
        """Is this an essential site of the dictionary?"""
        sites = {row.partition("/")[0] for row in self.essential_rows_of(self.named(dictionary))}
        return any(name in sites for name in parents(host))

    def protected(self, dictionary: str, category: Category) -> essentials.Protected:
        """What a list of a category may not take away from schools that decide with this dictionary."""
        rows = self.essential_rows_of(self.named(dictionary))
        return essentials.protected(category, [*essentials.essential_rows(), *rows])

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


def covered_by_mandate(
    category: taxonomy.Category, unknown: Mapping[str, str], exceptions: int, *, vouches: bool = False
) -> str:
    """Why a list may not be taken in under a mandate, "" when it may.

    Adding names to a category is proven to tighten only if, at every age, the category's answer is at least that for unknown
    names, its sites are still looked at, and the list takes nothing out of other lists, by exceptions or by vouching.
    """
    strictness = {"allow": 0, "restrict": 1, "warn": 2, "block": 3}
    if category.locked:
        return f"{category.name} comes only as a licensed, sealed bundle"
    if category.essential or category.never_inspect:
        return f"{category.name} opens sites or keeps them from being looked at, so each list of it waits for the headteacher"
    if any(strictness[category.phases[phase]] < strictness[answer] for phase, answer in unknown.items()):
        return f"{category.name} is milder than what unknown sites get, so each list of it waits for the headteacher"
    if vouches:
        return f"lists of {category.name} that vouch also open sites, so each of them waits for the headteacher"
    if exceptions:
        return f"the list opens {exceptions} sites, so it waits for the headteacher"
    return ""
