"""Files that are whole or not there."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Self


class Aside:
    """A file written beside its place, flushed to the disk, and renamed into it; gone if that does not happen."""

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
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
