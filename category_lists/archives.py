"""Archives and folders of lists: their files by name, each a plain file that can be opened again.

An archive is untrusted. Its members are written into a scratch folder under numbers of our own, so that no name in it can
lead anywhere; names serve as keys only. tar is read by hand, since tarfile reads an extended header of any size that it
claims into memory; links and devices are passed over. What unpacks to too much, in bytes, in files or by ratio, is refused
as soon as that shows.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final, cast

from category_lists.names import shown
from category_lists.packings import Bounded, Damaged, TooMuch, open_packed, packing_of

MOST_MEMBERS: Final = 20_000  # the largest honest tree has 1,600
_LONGEST_NAME = 1024
_BLOCK = 512
_PIECE = 1 << 16
_ZIP_METHODS = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))  # LZMA may ask for 4 GiB


@dataclass(frozen=True, slots=True)
class Tree:
    """Files of lists by their name inside the folder or archive, `ut1/games/domains`."""

    name: str
    files: Mapping[str, Path]


def is_archive(path: Path) -> bool:
    """Say whether a file is a zip or (once unpacked) a tar archive, by what it holds and not by its name."""
    if packing_of(path) == "zip":
        return True
    with open_packed(path) as source:
        head = source.read(_BLOCK)
    return _is_tar(head)


@contextmanager
def opened(path: Path) -> Iterator[Tree]:
    """The files of a folder, or of an archive unpacked aside until the block ends.

    Raises ValueError in a plain sentence for what is no archive, is damaged, or unpacks to too much.
    """
    if path.is_dir():
        yield Tree(path.name, dict(_of_folder(path)))
        return
    with TemporaryDirectory(prefix="schoolgate-lists-") as scratch:
        try:
            files = dict(_of_zip(path, Path(scratch)) if packing_of(path) == "zip" else _of_tar(path, Path(scratch)))
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise Damaged(f"The archive {shown(path.name)} is damaged and cannot be unpacked.") from error
        yield Tree(path.name, files)


def _of_folder(path: Path) -> Iterator[tuple[str, Path]]:
    count = 0
    for folder, inner, names in os.walk(path):  # links to folders are not followed
        inner.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                count += 1
                _check_count(count, path)
                yield file.relative_to(path).as_posix(), file


def _of_zip(path: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    with path.open("rb") as raw, zipfile.ZipFile(raw) as archive:
        bound = Bounded.of(path)
        for count, info in enumerate(archive.infolist(), start=1):
            _check_count(count, path)
            if info.is_dir() or (info.external_attr >> 16) & 0o170000 == 0o120000:  # a folder or a link
                continue
            if info.flag_bits & 1 or info.compress_type not in _ZIP_METHODS:
                raise ValueError(f"The archive {shown(path.name)} holds a file that is encrypted or packed in a rare way.")
            with archive.open(info) as member:
                yield (
                    _name(info.filename, path),
                    _written(cast("BinaryIO", member), info.file_size, bound, scratch / str(count)),
                )


def _of_tar(path: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    with open_packed(path) as source:
        bound, longer, count = Bounded.of(path), "", 0
        while True:
            head = source.read(_BLOCK)
            if len(head) < _BLOCK or not head.strip(b"\0"):
                return
            if not _is_tar(head):
                raise ValueError(f"{shown(path.name)} is neither a folder nor an archive of lists.")
            size, kind = _number(head[124:136]), head[156:157]
            count += 1
            _check_count(count, path)
            if kind in (b"L", b"x"):
                longer = _long_name(source, size, kind, path) or longer
            elif kind in (b"0", b"\0", b"7"):
                name = _name(longer or _short_name(head), path)
                yield name, _written(source, size, bound, scratch / str(count))
                _skip(source, -size % _BLOCK, bound)
                longer = ""
            else:  # a folder, a link, a device, a comment for all files
                _skip(source, size + -size % _BLOCK, bound)
                longer = longer if kind in (b"g", b"K") else ""


def _is_tar(head: bytes) -> bool:
    """A tar header is known by its checksum, which is older than the word `ustar` in it."""
    if len(head) < _BLOCK:
        return False
    try:
        claimed = int(head[148:156].split(b"\0")[0].strip() or b"-1", 8)
    except ValueError:
        return False
    return claimed == sum(head[:148]) + 8 * 0x20 + sum(head[156:])


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU: a binary number, for more than 8 GiB
        raise TooMuch("An archive claims to hold a file of more than 8 GiB; this is no honest list.")
    try:
        return int(field.split(b"\0")[0].strip() or b"0", 8)
    except ValueError as error:
        raise Damaged("A file in the archive has no readable size.") from error


def _short_name(head: bytes) -> str:
    prefix = head[345:500] if head[257:262] == b"ustar" and head[262:263] != b" " else b""
    parts = [part.split(b"\0")[0].decode("utf-8", "replace") for part in (prefix, head[:100])]
    return "/".join(part for part in parts if part)


def _long_name(source: BinaryIO, size: int, kind: bytes, path: Path) -> str:
    """The name that a GNU or POSIX header gives the next member; other attributes do not matter here."""
    if size > _PIECE:
        raise TooMuch(f"The archive {shown(path.name)} has a header of {size:,} bytes; this is no honest list.")
    data = source.read(size + -size % _BLOCK)[:size]
    if kind == b"L":
        return data.split(b"\0")[0].decode("utf-8", "replace")
    for record in data.split(b"\n"):
        _, _, pair = record.partition(b" ")
        if pair.startswith(b"path="):
            return pair[5:].decode("utf-8", "replace")
    return ""


def _name(name: str, path: Path) -> str:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts or name.startswith(("/", "\\")) or len(name) > _LONGEST_NAME:
        raise ValueError(f"The archive {shown(path.name)} holds a file that leads out of it: {shown(name)}.")
    return "/".join(parts)


def _written(source: BinaryIO, size: int, bound: Bounded, place: Path) -> Path:
    with place.open("xb") as file:
        left = size
        while left:
            piece = source.read(min(_PIECE, left))
            if not piece:
                raise EOFError
            bound.take(len(piece))
            left -= len(piece)
            file.write(piece)
    return place


def _skip(source: BinaryIO, size: int, bound: Bounded) -> None:
    while size:
        piece = source.read(min(_PIECE, size))
        if not piece:
            raise EOFError
        bound.take(len(piece))
        size -= len(piece)


def _check_count(count: int, path: Path) -> None:
    if count > MOST_MEMBERS:
        raise TooMuch(f"{shown(path.name)} holds more than {MOST_MEMBERS:,} files; this is no honest set of lists.")
