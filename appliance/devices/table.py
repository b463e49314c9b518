"""The table of who is at which address, as the one process that writes it keeps it; policy/presence.py reads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from appliance.devices.known import Entry
from policy.live import write_aside
from policy.presence import Present, line

RENEW_S: Final = 300.0  # an entry is written again when it would be over so soon
LINES: Final = 50_000  # then the file is written anew, without the lines that later ones replaced


class Table:
    """Of the process for devices."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._written: dict[str, tuple[float, Present]] = {}
        self._lines = 0
        self._file: BinaryIO | None = None  # until the first words: what the process before us wrote holds so long

    def write(self, entries: Mapping[str, Entry], now: float) -> int:
        """Say what has changed; returns the number of lines that took."""
        lines = [line(key, 0.0, None) for key in self._written if key not in entries]
        self._written = {key: held for key, held in self._written.items() if key in entries}
        for key, entry in entries.items():
            held = self._written.get(key)
            if held and held[1] == entry.present and (held[0] - now > RENEW_S or entry.until - held[0] < 1):
                continue
            self._written[key] = entry.until, entry.present
            lines.append(line(key, entry.until, entry.present))
        self._lines += len(lines)
        if self._file is None:
            self._file = self._anew()
        elif self._lines > LINES + len(self._written):
            self._file.close()
            self._file = self._anew()
        elif lines:
            self._file.write(b"".join(lines))
        return len(lines)

    def _anew(self) -> BinaryIO:
        text = b"".join(line(key, *held) for key, held in self._written.items())
        write_aside(self._path, text, mode=0o640)
        self._lines = len(self._written)
        return self._path.open("ab", buffering=0)

    def close(self) -> None:
        if self._file:
            self._file.close()
