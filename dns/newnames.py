"""Newly seen names: a site that nobody here has asked for before, as a fresh way round the filter is. Told of, never refused.

Counted is the part of a name that somebody registered. The memory outlives the worker: 8 bytes of a hash for each,
in a file a worker, which all workers read when they start. In its first day it only learns, since everything is new then.
"""

import hashlib
import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dns.cache import Generations
from dns.tunnel import parent_of

log = logging.getLogger(__name__)

MOST: Final = 200_000  # names remembered; the last half of that which were asked for stay
LEARNS_S: Final = 86_400.0
_START: Final = struct.Struct("<d")  # when this memory began
_SIZE: Final = 8


class NewNames:
    """The names that one worker knows. Without a folder it forgets when it ends."""

    def __init__(self, folder: Path | None, worker: str, clock: Callable[[], float]) -> None:
        self._clock, self._began = clock, clock()
        self._known: Generations[bytes, bool] = Generations(MOST)
        self._file = folder / f"{worker or 'dns'}.names" if folder else None
        self._pending = bytearray()
        self.count = 0  # names that were new, whether told of or not
        if folder:
            for path in sorted(folder.glob("*.names")):
                self._load(path)

    def _load(self, path: Path) -> None:
        try:
            data = path.read_bytes()
            self._began = min(self._began, _START.unpack_from(data)[0])
        except (OSError, struct.error):
            return
        for at in range(_START.size, len(data) - _SIZE + 1, _SIZE):
            self._known.put(data[at : at + _SIZE], True)

    def noticed(self, name: str) -> bool:
        """Remember a name; is it new, and has this memory been there long enough to say so?"""
        mark = hashlib.blake2b(parent_of(name).encode(), digest_size=_SIZE).digest()
        if self._known.get(mark):
            return False
        self._known.put(mark, True)
        self.count += 1
        if self._file:
            self._pending += mark
        return self._clock() - self._began >= LEARNS_S

    def save(self) -> None:
        """Write down what is new. A file that has grown too long begins again with what is known now."""
        if not self._file or not self._pending:
            return
        data, self._pending = bytes(self._pending), bytearray()
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            size = self._file.stat().st_size if self._file.exists() else 0
            if _START.size <= size < 2 * MOST * _SIZE:
                with self._file.open("ab") as file:
                    file.write(data)
            else:
                new = self._file.with_suffix(".new")
                new.write_bytes(_START.pack(self._began) + b"".join(self._known))
                new.replace(self._file)
        except OSError as error:
            log.warning("could not keep which names are known: %s", error)
            self._file = None
