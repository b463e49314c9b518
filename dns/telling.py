"""What a worker tells of its queries: an event of each to the recorder, and of what failed a line in the program's log too.

INVARIANT: what cannot be decided is refused and told.
INVARIANT: a recorder that fails stops no answer; what it did not take is counted.
"""

import logging
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from dns import codec
from dns.codec import Malformed
from dns.counters import Counters
from dns.respond import could_not_decide
from dns.seats import Seat
from dns.waiting import What, describe
from policy.event import Event, decode
from policy.rules import Action

log = logging.getLogger(__name__)

COMPLAINTS: Final = 20  # different failures that are logged with where they were; all are counted

type Write = Callable[[Sequence[bytes]], None]


class Telling:
    """Of one worker. `record` takes events one by one, `write` many that are encoded already (none: they go to `record`)."""

    def __init__(self, record: Callable[[Event], None], write: Write | None, worker: str, counters: Counters) -> None:
        self._record, self._write, self._worker, self._counters = record, write or self._record_each, worker, counters
        self._complained: set[str] = set()
        self.unrecorded = 0  # events that the recorder would not take
        self.undecided = 0  # queries refused because deciding failed

    def lines(self, lines: Sequence[bytes]) -> None:
        """Record queries whose events are encoded already."""
        try:
            self._write(lines)
        except Exception:  # noqa: BLE001 - as in `query`
            self.unrecorded += len(lines)

    def _record_each(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            self._record(decode(line))

    def query(self, now: float, seat: Seat, host: str, what: What) -> None:
        """Record one query. By position, in the order of Event's fields: this runs for each of them."""
        school, group, network, identified_by, person, address, device = seat.who
        action, handling, reason, category, list_, rule, change, outcome, detail = what
        self._counters.decisions[action, reason] += 1
        try:
            self._record(
                Event(
                    now, "dns", school, group, network, identified_by, person, address, device, host, "", "",
                    action, handling, reason, category, list_, rule, change, outcome, detail, self._worker,
                )
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - a full log must not stop a school's lookups; the count shows what was lost
            self.unrecorded += 1

    def refused(self, packet: bytes, address: str, error: Exception, now: float) -> bytes | None:
        """Fail closed: an event each time, and once a line in the program's log, without the name (that is the pupil's)."""
        self.undecided += 1
        where = "".join(traceback.format_tb(error.__traceback__))
        if where not in self._complained and len(self._complained) < COMPLAINTS:
            self._complained.add(where)
            log.error("could not decide, and refused: %s\n%s", type(error).__name__, where)
        try:
            query = codec.parse(packet)
        except Malformed as malformed:
            return malformed.reply
        reply = could_not_decide(query)
        who = ("", "", "", "none", "", address, "")
        what = describe(query, reply.decision, Action.BLOCK, reply.outcome)
        self.query(now, Seat(None, who, b""), query.name or ".", what)
        return reply.wire
