"""Where the lines of a list come from: a file, packed or not, or one list out of a folder or archive of many."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from category_lists.archives import Tree, is_archive, opened
from category_lists.names import shown
from category_lists.packings import Bounded, open_packed
from category_lists.parsers import LONGEST_LINE, csv_cells
from category_lists.v2fly import Services

_PIECE: Final = 1 << 18
_BATCH: Final = 10_000
_MOST_CATEGORIES: Final = 500
_UT1_PARTS = ("domains", "urls")
_NO_LIST = re.compile(
    r"(?i)(readme|licen[cs]e|copying|usage|expressions|global_usage|cc-by).*|.*\.(md|json|pdf|html?|py|sh|yml|yaml|go)"
)
_ENDS: Final = frozenset((".txt", ".list", ".lst", ".csv", ".gz", ".xz", ".zst", ".bz2", ".hosts", ".conf", ".zone", ".rpz"))


def read_source(path: Path, format: str, *, part: str = "") -> Iterator[bytes]:  # noqa: A002 - the word that users know
    """The lines of `read_batches` one by one; all but over-long ones end in a line feed."""
    for batch in read_batches(path, format, part=part):
        for line in batch:
            yield line if len(line) > LONGEST_LINE else line + b"\n"


def read_batches(path: Path, format: str, *, part: str = "") -> Iterator[list[bytes]]:  # noqa: A002
    """Give the lines of a list by the thousand: of a file, plain or packed, or of the one list (or the `part`) of a folder
    or archive.

    Lines come without their line feed; an over-long one arrives cut off just beyond `parsers.LONGEST_LINE`. Raises
    ValueError with a plain sentence for what cannot be read, is damaged, or unpacks to too much.
    """
    try:
        if not path.is_dir() and not is_archive(path):
            yield from file_batches(path)
            return
        with opened_lists(path, format) as lists:
            if not part and len(lists.parts) != 1:
                some = ", ".join(sorted(lists.parts)[:8])
                raise ValueError(
                    f"{shown(path.name)} holds {len(lists.parts)} lists ({some}…); say which, or give a map of categories."
                )
            yield from lists.batches(part or next(iter(lists.parts)))
    except OSError as error:
        raise ValueError(f"The list {shown(path.name)} cannot be read: {error.strerror or error}.") from error


def file_batches(path: Path) -> Iterator[list[bytes]]:
    """The lines of one file."""
    bound = Bounded.of(path)
    rest, cut = b"", False  # an unfinished line, and whether its tail is being dropped
    with open_packed(path) as source:
        while piece := source.read(_PIECE):
            bound.take(len(piece))
            if cut:
                end = piece.find(b"\n")
                if end < 0:
                    continue
                piece, cut = piece[end:], False
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            if len(rest) > LONGEST_LINE:
                rest, cut = rest[: LONGEST_LINE + 1], True
            if lines:
                if max(map(len, lines)) > LONGEST_LINE:
                    lines = [line[: LONGEST_LINE + 1] for line in lines]
                yield lines
        if rest:
            yield [rest]


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of one folder or archive, by the name that its maker gives each."""

    parts: Mapping[str, tuple[Path, ...]]
    services: Services | None = None

    def batches(self, part: str) -> Iterator[list[bytes]]:
        """The lines of one list, by the thousand."""
        if part not in self.parts:
            raise ValueError(f"There is no list {shown(part)} here; there are: {', '.join(sorted(self.parts)[:20])}.")
        if self.services:
            yield from map(list, batched(self.services.lines(part), _BATCH))
            return
        for file in self.parts[part]:
            yield from file_batches(file)


@contextmanager
def opened_lists(path: Path, format: str) -> Iterator[Lists]:  # noqa: A002
    """The lists of a folder, an archive, or a CSV file that names a category on each line.

    Raises ValueError where there is not one list.
    """
    if format == "csv" and not path.is_dir() and not is_archive(path):
        with TemporaryDirectory(prefix="schoolgate-lists-") as scratch:
            yield Lists(_by_category(path, Path(scratch)))
        return
    with opened(path) as tree:
        match format:
            case "ut1":
                parts = _ut1(tree)
            case "v2fly":
                files = {PurePosixPath(name).name.lower(): file for name, file in _v2fly(tree).items()}
                yield Lists({name: (file,) for name, file in files.items()}, Services(files))
                return
            case _:
                parts = _plain(tree, format)
        if not parts:
            lack = "neither 'domains' nor 'urls'" if format == "ut1" else "no list"
            raise ValueError(f"The folder {shown(path.name)} holds {lack}.")
        yield Lists(parts)


def _by_category(path: Path, scratch: Path) -> dict[str, tuple[Path, ...]]:
    """A CSV file sorted into one file of names for each category in its second column."""
    kept: dict[str, list[bytes]] = {}
    for lines in file_batches(path):
        for line in lines:
            cells = csv_cells(line.decode("utf-8", "surrogateescape"))
            if len(cells) > 1 and cells[1]:
                kept.setdefault(cells[1].lower(), []).append(line)
        if len(kept) > _MOST_CATEGORIES:
            raise ValueError(f"{shown(path.name)} names more than {_MOST_CATEGORIES} categories in its second column.")
    found: dict[str, tuple[Path, ...]] = {}
    for number, (category, some) in enumerate(kept.items()):
        place = scratch / str(number)
        place.write_bytes(b"\n".join(some) + b"\n")
        found[category] = (place,)
    return found


def _ut1(tree: Tree) -> dict[str, tuple[Path, ...]]:
    """UT1 keeps one folder a category, with `domains` and `urls` in it; the folder's name is the category's."""
    found: dict[str, list[Path]] = {}
    for name, file in sorted(tree.files.items()):
        place = PurePosixPath(name)
        if place.name.partition(".")[0] in _UT1_PARTS and not _NO_LIST.fullmatch(place.name):
            found.setdefault(place.parent.name or tree.name, []).append(file)
    return {name: tuple(files) for name, files in found.items()}


def _v2fly(tree: Tree) -> dict[str, Path]:
    """The project keeps its lists under `data/`; a bare folder of lists does as well."""
    in_data = {name: file for name, file in tree.files.items() if "data" in PurePosixPath(name).parent.parts}
    return in_data or {name: file for name, file in tree.files.items() if not _NO_LIST.fullmatch(PurePosixPath(name).name)}


def _plain(tree: Tree, format: str) -> dict[str, tuple[Path, ...]]:  # noqa: A002
    """One list a file, named as the file without its ending. A project that publishes every list in several formats keeps
    a folder for each; then the folder of this format is meant.
    """
    files = {name: file for name, file in tree.files.items() if not _NO_LIST.fullmatch(PurePosixPath(name).name)}
    mine = {name: file for name, file in files.items() if format in PurePosixPath(name).parent.parts}
    found: dict[str, tuple[Path, ...]] = {}
    for name, file in sorted((mine or files).items(), key=lambda pair: (pair[0].count("/"), pair[0])):
        stem = stem_of(name)
        found[stem if stem not in found else str(PurePosixPath(name).with_name(stem))] = (file,)
    return found


def stem_of(name: str) -> str:
    """A file's name without the endings that say how it is written and packed: `gambling.mini.txt.gz` is gambling.mini."""
    stem = PurePosixPath(name).name
    while (end := PurePosixPath(stem).suffix.lower()) in _ENDS:
        stem = stem[: -len(end)]
    return stem
