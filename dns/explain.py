"""Why would this worker answer so? The steps of a query, taken without a client, told in order; nothing is recorded.

Asked over a UNIX socket in the data folder, one JSON line each way: whoever may open it is on this machine and may read the
policy anyway. The steps are those of answers.py, by the same functions.
"""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from category_lists.names import canonical_host
from dns import codec
from dns.cache import Cache, Stored
from dns.codec import Edns, Query, wire_name
from dns.respond import Reply, Ways, remaining, respond
from dns.screen import screened
from dns.upstream import NoAnswer, Upstream
from policy.decide import Decision
from policy.identity import Client, waiting_group
from policy.snapshot import Snapshot

log = logging.getLogger(__name__)

LONGEST_LINE: Final = 4096
PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker answers from."""

    snapshot: Snapshot
    cache: Cache
    upstream: Upstream
    ways: Ways
    now: float


async def explain(parts: Parts, name: str, kind: str, client: Client) -> dict[str, Any]:
    """What a client would be told, and by which step. LookupError or ValueError in a plain line for what cannot be asked."""
    host = canonical_host(name.removesuffix("."))
    query = Query(0, host, wire_name(host), codec.type_number(kind), edns=Edns(1232, do=False))
    at = datetime.fromtimestamp(parts.now, UTC)
    said = respond(parts.snapshot, query, client, at, parts.ways)
    if isinstance(said, Reply):
        step = "decision" if said.decision else "ourselves"
        return _told(step, said.decision, said.wire, said.detail, refused=said.refused)
    asked = said.instead or query
    stored, step = parts.cache.get(asked, parts.now), "cache"
    if stored is None:
        step = "upstream"
        try:
            stored = Stored(await parts.upstream.fetch(asked), parts.now)
        except NoAnswer as none:
            wire = codec.error(query, codec.SERVFAIL, codec.Ede(none.code, none.text))
            return _told(step, said.decision, wire, none.text)
    judged = screened(parts.snapshot, query, client, stored.answer, said, at=at, ways=parts.ways)
    if isinstance(judged, Reply):
        return _told(f"{step}, then the screen", judged.decision, judged.wire, judged.detail, refused=judged.refused)
    most = remaining(judged.decision, at, parts.ways.ttl_allow_max_s)
    answer = judged.changed or stored.answer
    wire = codec.relay(query, answer, age=stored.age(parts.now), ttl_max=most, limit=65_535, ede=judged.ede)
    detail = judged.detail or (f"{stored.age(parts.now)} s old" if step == "cache" else "")
    return _told(step, judged.decision, wire, detail)


def _told(step: str, decision: Decision | None, wire: bytes, detail: str, *, refused: bool = False) -> dict[str, Any]:
    decision = decision.told() if decision else None  # nobody reads the sealed list by asking
    return {
        "step": step,
        "action": decision.action.value if decision else "block" if refused else "allow",
        "reason": decision.reason.value if decision else None,
        "category": decision.category if decision else None,
        "change": decision.change if decision else None,
        "detail": detail,
        "rcode": codec.rcode_text(wire[3] & 0xF),
        "answer": codec.text_lines(wire),
        "ede": codec.reason_text(wire),
    }


class Questions:
    """The socket where they are asked."""

    def __init__(self, parts: Callable[[], Parts], worker: str) -> None:
        self._parts, self._worker = parts, worker

    async def serve(self, path: str) -> None:
        """Until cancelled. A socket that cannot be opened is logged: answers go on without explanations."""
        server = None
        try:
            _cleared(path)
            server = await asyncio.start_unix_server(self._ask, path, limit=LONGEST_LINE)
            os.chmod(path, 0o600)  # noqa: PTH101 - a socket
            await server.serve_forever()
        except OSError as error:
            log.warning("no explanations by %s: %s", path, error)
        finally:
            if server:
                server.close()
            _cleared(path)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                asked = json.loads(await reader.readline())
                parts = self._parts()
                client = _client(parts.snapshot, str(asked["school"]), str(asked["group"]))
                told = await explain(parts, str(asked["name"]), str(asked["type"]), client)
                writer.write(json.dumps({"worker": self._worker, **told}).encode() + b"\n")
                await writer.drain()
        except (LookupError, ValueError, TypeError) as error:
            writer.write(json.dumps({"error": str(error)}).encode() + b"\n")
        except (OSError, TimeoutError):
            pass  # it went away
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _cleared(path: str) -> None:
    """Room for a socket: an earlier worker may have left one."""
    with contextlib.suppress(OSError):
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(path).unlink(missing_ok=True)


def _client(snapshot: Snapshot, school: str, group: str) -> Client:
    document = snapshot.schools.get(school)
    try:
        if document is None:
            raise KeyError(school)
        snapshot.profile(school, group)
    except KeyError:
        raise ValueError(f"this resolver knows no group {group!r} of a school {school!r}") from None
    # Whoever has to sign in first on a network is a group of its own.
    forced = any(network.forced for network in document.networks if group in (network.group, waiting_group(network.id)))
    return Client(school, group, "", "explained", forced)
