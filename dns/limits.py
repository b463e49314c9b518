"""How often somebody may do something within one second. A count a key, forgotten when the second is over: it cannot grow."""

from collections.abc import Hashable


class Rate:
    """At most `most` times a second for each key; 0: as often as one likes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._second = 0
        self._counts: dict[Hashable, int] = {}

    def over(self, key: Hashable, now: float) -> bool:
        """One more time: is it one too many?"""
        if not self.most:
            return False
        if int(now) != self._second:
            self._second = int(now)
            self._counts.clear()
        count = self._counts[key] = self._counts.get(key, 0) + 1
        return count > self.most

    def count(self, key: Hashable) -> int:
        """How often it was within this second."""
        return self._counts.get(key, 0)
