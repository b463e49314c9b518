"""Who gives names their synthetic addresses: the one writer of the table that policy/synthetic.py reads."""

from pathlib import Path
from typing import BinaryIO, Final

from policy.live import write_aside
from policy.synthetic import NUMBERS, Names

KEPT_S: Final = 3600.0  # a number is not given to another name while its name was asked for so lately


class NoNumberLeft(OSError):
    """Every synthetic address stands for a name that somebody asked for lately."""


class Numbers:
    """Of the process that steers."""

    def __init__(self, path: Path, *, most: int = NUMBERS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._most = most
        self._names = dict(Names(path).all())
        self._numbers = {name: number for number, name in self._names.items()}
        self._asked: dict[str, float] = {}
        self._last = max(self._names, default=0)
        text = "".join(f"{number} {name}\n" for number, name in sorted(self._names.items()))
        write_aside(path, text.encode(), mode=0o640)  # without the lines of names that have gone
        self._file: BinaryIO = path.open("ab", buffering=0)

    def of(self, name: str, now: float) -> int:
        """The number of a name; readers find it in the table when this returns."""
        self._asked[name] = now
        number = self._numbers.get(name)
        if number is None:
            number = self._free(now)
            self._file.write(f"{number} {name}\n".encode("ascii"))
            self._numbers[name], self._names[number] = number, name
        return number

    def _free(self, now: float) -> int:
        for _ in range(self._most):
            self._last = self._last % self._most + 1
            before = self._names.get(self._last)
            if before is None:
                return self._last
            if now - self._asked.get(before, 0.0) > KEPT_S:
                del self._numbers[before]
                self._asked.pop(before, None)
                return self._last
        raise NoNumberLeft("every synthetic address is in use")

    def close(self) -> None:
        self._file.close()
