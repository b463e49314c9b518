"""Questions between processes of the box: one line of JSON asked over a socket in the file system, one line answered.

The folder is the box's own, and so are the sockets (0660). Whoever serves says something to every line; whoever asks has no
answer (None) when nobody is there, or not in time.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

LONGEST: Final = 4096  # bytes of a question
LONGEST_ANSWER: Final = 1 << 24
PATIENCE_S: Final = 10.0  # so long whoever serves waits for the question, and takes for the answer

type Said = Mapping[str, Any]


def portal_door(data: Path) -> Path:
    """Of the keeper of the captive portal."""
    return data / "run" / "portal.sock"


def accounts_door(data: Path) -> Path:
    """Of the desk, which knows names and passwords."""
    return data / "run" / "accounts.sock"


def ask(path: Path, question: Said, patience: float = PATIENCE_S) -> Said:
    """One question. OSError (TimeoutError among them) or ValueError when there is no answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience)
        sock.connect(str(path))
        sock.sendall(json.dumps(question).encode() + b"\n")
        parts, length = [], 0
        while (part := sock.recv(65_536)) and (length := length + len(part)) < LONGEST_ANSWER:
            parts.append(part)
    told = json.loads(b"".join(parts))
    if not isinstance(told, dict) or not isinstance(told.get("said"), str):
        raise ValueError("not an answer")  # noqa: TRY004 - what came is wrong, not whoever called
    return told


async def serve(path: Path, answer: Callable[[Said], Awaitable[Said]]) -> asyncio.Server:
    """Answer whoever asks at this path; what is no question is told so."""

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                try:
                    told = await answer(dict(json.loads(await reader.readline())))
                except (ValueError, LookupError, TypeError, RecursionError):
                    told = {"said": "not understood"}
                writer.write(json.dumps(told).encode() + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(come, str(path), limit=LONGEST)
    os.chmod(path, 0o660)  # noqa: PTH101 - at once
    return server
