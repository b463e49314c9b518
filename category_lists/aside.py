"""Files that are whole or not there."""

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Self

_LEFT = re.compile(r"\.(?:compiling-)?(\d+)-.*\.(?:part|idx)|\..*\.(\d+)").fullmatch


def clear(folder: Path) -> None:
    """Take away what processes that are gone left half-written in a folder; what a running one writes stays."""
    for path in folder.glob(".*"):
        if (found := _LEFT(path.name)) and path.is_file() and not _runs(int(found[1] or found[2])):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


class Aside:
    """A file written beside its place, flushed to the disk, and renamed into it; gone if that does not happen."""

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{os.getpid()}-", suffix=".part", dir=folder)
        self._file, self._path, self._sum = os.fdopen(handle, "wb"), Path(name), hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def write(self, data: "bytes | memoryview[int]") -> None:
        self._sum.update(data)
        self._file.write(data)

    def digest(self) -> str:
        return self._sum.hexdigest()

    def keep(self, place: Path) -> None:
        self._file.flush()
        os.fchmod(self._file.fileno(), 0o644)
        os.fsync(self._file.fileno())
        self._path.replace(place)
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
