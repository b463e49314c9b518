"""Data smuggled in names: found by what no honest site does, ever new, long, random names under one parent. Pure.

The theory. A tunnel (iodine, dnscat2, dns2tcp and their like) can say only what stands in a name, and no resolver's cache may
answer for it. So each query is a name never asked before, with as much data in it as fits, under the one parent whose server
the other end runs. An honest name is asked for again, is short, or is made of words. Counted is therefore, by client and
parent and minute, how many *different* names were asked and how many characters of random-looking data they carried. Only
names that the cache does not know come here, which is every name of a tunnel and few others.

What looks alike and is none: content networks and trackers put a hash into a name, but each page a few; reputation look-ups
of virus scanners and mail servers are as many, and are essential or infrastructure in the lists, or stand in `HONEST`.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from category_lists.names import SHARED_SUFFIXES
from dns.cache import Generations

WINDOW_S: Final = 60.0
PAIRS: Final = 8_192  # of client and parent, remembered by each worker
NAMES: Final = 512  # different names counted of each pair in a window
ENOUGH_NAMES: Final = 25  # different names a minute under one parent, each with data: fewer are no tunnel worth the name
ENOUGH_DATA: Final = 1_500  # characters of data a minute: about what one small page takes
UNBROKEN: Final = 12  # characters without a hyphen or dot: longer than words in names are, shorter than data
LONG: Final = 24  # characters of such runs that a name must have to count
RANDOM: Final = 3.0  # bits a character; base32 and hex lie at 3.4 and above in runs of this length
_HONEST = """
in-addr.arpa ip6.arpa sophosxl.net mcafee.com spamhaus.org avast.com eset.com cymru.com surbl.org barracudacentral.org
googlevideo.com gstatic.com icloud.com apple.com microsoft.com windows.com office.com dotnxdomain.net
"""
HONEST: Final = frozenset(_HONEST.split())  # names there are look-ups of hashes or addresses, and must not be mistaken
_RUNS = re.compile(r"[^._-]+").findall


def parent_of(name: str) -> str:
    """The part of a name that somebody registered; all names below it are one owner's."""
    labels = name.split(".")
    keep = 2
    while keep < len(labels) and ".".join(labels[-keep:]) in SHARED_SUFFIXES:
        keep += 1
    return ".".join(labels[-keep:])


def entropy(text: str) -> float:
    """Bits a character."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values()) if size else 0.0


@dataclass(slots=True)
class _Pair:
    began: float
    data: int = 0
    names: set[int] = field(default_factory=set)


class Tunnels:
    """What the clients of one worker asked in the last minute, as far as it may be data."""

    def __init__(self) -> None:
        self._pairs: Generations[tuple[str, str], _Pair] = Generations(PAIRS)

    def noticed(self, client: str, name: str, now: float) -> bool:
        """Count a name that the cache does not know; is its parent by now a tunnel for this client?"""
        parent = parent_of(name)
        below = name[: -len(parent) - 1]
        data = "".join(run for run in _RUNS(below) if len(run) >= UNBROKEN)
        if parent in HONEST or len(data) < LONG or entropy(data) < RANDOM:
            return False
        key = (client, parent)
        pair = self._pairs.get(key)
        if pair is None or not pair.began <= now < pair.began + WINDOW_S:
            was = pair is not None and now - pair.began < 2 * WINDOW_S and self._is(pair)
            pair = _Pair(now)
            if was:  # a tunnel stays one while it goes on
                pair.data, pair.names = ENOUGH_DATA, set(range(-ENOUGH_NAMES, 0))
            self._pairs.put(key, pair)
        if len(pair.names) < NAMES:
            mark = hash(below)
            if mark not in pair.names:
                pair.names.add(mark)
                pair.data += len(data)
        return self._is(pair)

    @staticmethod
    def _is(pair: _Pair) -> bool:
        return len(pair.names) >= ENOUGH_NAMES and pair.data >= ENOUGH_DATA
