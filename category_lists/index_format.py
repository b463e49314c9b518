"""The compiled index: name -> what the lists say, in one file that all processes share by mmap.

The file is a header, a JSON table (the lists, and every distinct combination of sayings, called a label), and an
open-addressed table: a column of 64-bit hashes of names and a column of label numbers. The hashes stand in rising
order. A hash's home is its value scaled to the table's length; it stands at home or, when others were there before,
further on: slot = running maximum of home, so that placing millions of names is one pass of numpy, and a look-up stops
at the first hash that is not smaller. Empty slots hold the highest value.

Names are looked up from the top down, `example.com` before `www.example.com`, and every name on the way to an entry is
in the table with a mark (DEEPER). So the usual name, of which no list knows anything, costs one hash, not one a level.

INVARIANT: whatever bytes the file holds, reading it raises nothing but ValueError, and stays inside the file.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Self

from category_lists.lists import ListVersion

MAGIC: Final = b"SGINDEX\x00"
FORMAT: Final = 1
HEADER: Final = struct.Struct("<8sIIQQQQQII")  # see `Layout`; little-endian, as every machine we run on is
EMPTY: Final = 0xFFFF_FFFF_FFFF_FFFF

# home = (hash >> HASH_TAIL) * buckets >> HOME_BITS. 30 bits, because Python multiplies such numbers twice as fast.
HOME_BITS: Final = 30
HASH_TAIL: Final = 64 - HOME_BITS

# A saying is list number * SPAN + kind. The kinds of an entry are its flags; the two marks have the list number 0.
SPAN: Final = 8
EXACT, EXCEPTION = 1, 2
DEEPER, PAGES = 4, 5  # marks: entries below this name; entries for pages of this name


@dataclass(frozen=True, slots=True)
class Layout:
    """The header: `buckets` is the number of homes, `slots` the table's length in entries, `width` a label's bytes."""

    names: int
    seed: int
    buckets: int
    slots: int
    table_bytes: int  # of the JSON table, which follows the header, padded to 8 bytes
    width: int
    deepest: int  # path segments of the longest page entry

    def pack(self) -> bytes:
        numbers = (self.names, self.seed, self.buckets, self.slots, self.table_bytes, self.deepest, 0)
        return HEADER.pack(MAGIC, FORMAT, self.width, *numbers)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        magic, form, width, names, seed, buckets, slots, table_bytes, deepest, _ = HEADER.unpack(data)
        if magic != MAGIC:
            raise ValueError("This file is not an index of names.")
        if form != FORMAT:
            raise ValueError(f"The index was compiled in format {form}; this version reads {FORMAT}. Compile it again.")
        return cls(names, seed, buckets, slots, table_bytes, width, deepest)

    @property
    def hashes_at(self) -> int:
        return HEADER.size + -(-self.table_bytes // 8) * 8

    @property
    def labels_at(self) -> int:
        return self.hashes_at + 8 * self.slots

    @property
    def size(self) -> int:
        return self.labels_at + self.width * self.slots


def tables_to_json(lists: Sequence[ListVersion], labels: Sequence[Sequence[int]], counts: Sequence[int] = ()) -> bytes:
    """The lists, what each label stands for, and how many names have it."""
    whole = {"lists": [asdict(version) for version in lists], "labels": labels, "counts": counts}
    return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()
