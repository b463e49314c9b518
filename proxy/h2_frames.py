"""What one connection of HTTP/2 may ask of us: how many frames, how often something is asked for and taken back.

The theory. Frames that cost a client nothing and us much are the old weakness of HTTP/2: streams opened and reset at once
(CVE-2023-44487), pings, settings, empty data, header blocks in endless pieces, windows opened by a byte. All of these are
frames, and an honest client's frames come with what they carry. So every frame is counted before the library sees it,
against an allowance that grows with time and with the bytes that are carried either way. Who has used it up is let go.
Pure: time comes in.
"""

PREFACE = 24  # bytes with which every client begins
HEAD = 9  # bytes of a frame before what it carries
MOST = 3_000.0  # frames at once
A_SECOND = 500.0  # frames
CARRIED = 512  # bytes that are worth a frame: what is sent in pieces as large pays for itself
TAKEN_BACK = 20.0  # frames that a stream costs which is reset before it was answered


class Frames:
    """Counts the frames that begin in a connection's bytes."""

    __slots__ = ("_head", "_skip")

    def __init__(self) -> None:
        self._skip, self._head = PREFACE, b""

    def begun(self, data: bytes) -> int:
        count = at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                at, self._skip = at + step, self._skip - step
                continue
            piece = data[at : at + HEAD - len(self._head)]
            at, self._head = at + len(piece), self._head + piece
            if len(self._head) == HEAD:
                self._skip, self._head = int.from_bytes(self._head[:3]), b""
                count += 1
        return count


class Patience:
    """The allowance."""

    __slots__ = ("_at", "left")

    def __init__(self, now: float) -> None:
        self.left, self._at = MOST, now

    def earn(self, carried: int) -> None:
        self.left = min(MOST, self.left + carried / CARRIED)

    def spend(self, frames: float, now: float) -> bool:
        """Is it enough?"""
        self.left = min(MOST, self.left + (now - self._at) * A_SECOND) - frames
        self._at = now
        return self.left >= 0
