"""Packed files opened as plain ones: gzip, xz, zstd and bzip2, told by their first bytes, with bounds against bombs."""

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from category_lists.names import shown

LARGEST_SOURCE: Final = 1 << 30  # bytes once unpacked; the largest list in use is a tenth of it
_RATIO, _RATIO_FROM = 100, 16 << 20  # lists pack 3 to 15 times; beyond 100 times (and 16 MiB) it is a bomb
_XZ_MEMORY = 128 << 20  # bytes; `xz -9` needs 65 MiB
_ZSTD_WINDOW = 27  # 128 MiB: what `zstd --long` uses; a frame may ask for 2 GiB
DAMAGE: Final = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, gzip.BadGzipFile)

_MAGIC: Final = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
}


class Damaged(ValueError):
    """What cannot be unpacked, said in a sentence."""


class TooMuch(ValueError):
    """What unpacks to more than an honest list holds."""


@dataclass(slots=True)
class Bounded:
    """How much may still come out of one packed file."""

    name: str
    left: int

    @classmethod
    def of(cls, path: Path) -> Self:
        packed = packing_of(path) is not None
        limit = max(_RATIO_FROM, _RATIO * path.stat().st_size) if packed else LARGEST_SOURCE
        return cls(path.name, min(LARGEST_SOURCE, limit))

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooMuch(f"The list {shown(self.name)} unpacks to far too much; this is no honest list.")


def packing_of(path: Path) -> str | None:
    """Tell the packing by the first bytes: a feed's file name is not to be relied on."""
    with path.open("rb") as file:
        start = file.read(6)
    return next((packing for magic, packing in _MAGIC.items() if start.startswith(magic)), None)


@contextmanager
def open_packed(path: Path) -> Iterator[BinaryIO]:
    """A file, unpacked while it is read. Raises ValueError in a plain sentence for what is damaged or cannot be read."""
    with ExitStack() as stack:
        try:
            source: BinaryIO = stack.enter_context(path.open("rb"))
            match packing_of(path):
                case "gzip":
                    source = stack.enter_context(io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=source))))
                case "xz":
                    source = stack.enter_context(io.BufferedReader(_Unxz(source)))
                case "zstd":
                    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
                    raw = cast("io.RawIOBase", zstd.ZstdFile(source, options=options))
                    source = stack.enter_context(io.BufferedReader(raw))
                case "bzip2":
                    source = stack.enter_context(io.BufferedReader(_Unbz2(source)))
                case "zip":
                    raise ValueError(f"{shown(path.name)} is a zip archive, and a plain list was expected here.")
                case _:
                    pass
            yield source
        except DAMAGE as error:
            raise Damaged(f"The list {shown(path.name)} is damaged and cannot be unpacked.") from error
        except OSError as error:
            raise ValueError(f"The list {shown(path.name)} cannot be read: {error.strerror or error}.") from error


class _Unxz(io.RawIOBase):
    """An xz stream with a bound on memory, which `lzma.LZMAFile` has not: a header may ask for 4 GiB."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._stream = self._fresh()

    def _fresh(self) -> "lzma.LZMADecompressor | bz2.BZ2Decompressor":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed asks for any writable buffer
        while True:
            if self._stream.eof:
                rest = self._stream.unused_data or self._source.read(1 << 16)
                if not rest.strip(b"\0"):  # padding between or after streams
                    return 0
                self._stream = self._fresh()
                data = self._decompress(rest.lstrip(b"\0"), len(buffer))
            else:
                packed = self._source.read(1 << 16) if self._stream.needs_input else b""
                if self._stream.needs_input and not packed:
                    raise EOFError
                data = self._decompress(packed, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _decompress(self, packed: bytes, most: int) -> bytes:
        return self._stream.decompress(packed, most)


class _Unbz2(_Unxz):
    """A bzip2 stream, with its errors told from those of the disk."""

    def _fresh(self) -> bz2.BZ2Decompressor:
        return bz2.BZ2Decompressor()

    def _decompress(self, packed: bytes, most: int) -> bytes:
        try:
            return super()._decompress(packed, most)
        except OSError as error:  # bz2 says so of bad data
            raise EOFError from error
