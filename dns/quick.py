"""The quick line to the process that steers: a question, and its answer, while nothing else is done in this worker.

A first answer on a gateway waits for the kernel. By way of the event loop that costs the resolver a task, a future, and two
rounds of the loop, several times the work itself, which is some forty microseconds. So it is asked here and waited for, all
that came together in one go. Whoever does not answer within `PATIENCE_S` is asked by the other line (steering.py), which
makes nobody else wait, and this one is left alone for a while.
"""

import json
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

PATIENCE_S: Final = 0.03
LEFT_ALONE_S: Final = 0.5
LONGEST: Final = 1 << 16


class QuickLine:
    """Of one worker."""

    def __init__(self, path: str, patience_s: float = PATIENCE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._patience_s, self._clock = path, patience_s, clock
        self._sock: socket.socket | None = None
        self._again = 0.0

    def ask(self, questions: Sequence[Sequence[object]]) -> list[float] | None:
        """What is said to each, in their order; None: nothing, so nothing is known to be done."""
        if self._clock() < self._again:
            return None
        try:
            sock = self._sock = self._sock or self._called()
            sock.sendall(b"".join(b"%s\n" % json.dumps([n, *each]).encode() for n, each in enumerate(questions)))
            said = b""
            while said.count(b"\n") < len(questions):
                more = sock.recv(LONGEST)
                if not more:
                    raise ConnectionError
                said += more
            return [float(value) for _, value in map(json.loads, said.splitlines())]
        except (OSError, ValueError, TypeError):
            self.close()  # or an answer that comes late would be taken for another's
            self._again = self._clock() + LEFT_ALONE_S
            return None

    def _called(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        seconds, rest = divmod(self._patience_s, 1)
        patience = struct.pack("@ll", int(seconds), int(rest * 1e6))  # the kernel's own: `settimeout` would poll each time
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, patience)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        if self._sock:
            self._sock.close()
            self._sock = None
