"""What the proxy saw and did, as Events. Recording cannot fail a request."""

import logging
import sys
import time
from collections.abc import Callable

from policy.decide import Decision, Question, Reason
from policy.event import Event, Kind
from policy.identity import Client
from policy.rules import Action

LONGEST_HOST = 253
log = logging.getLogger(__name__)


class Record:
    """Where events go: `tell` is the spool's."""

    def __init__(self, tell: Callable[[Event], None], worker: str) -> None:
        self._tell, self._worker = tell, worker

    def __call__(self, event: Event) -> None:
        try:
            self._tell(event)
        except Exception:  # the log path never blocks the data path; what keeps the spool counts what it loses
            log.exception("an event could not be recorded")

    def surely(self, event: Event) -> None:
        """Record what someone is then told was recorded: raises when it was not."""
        self._tell(event._replace(worker=self._worker))

    def decided(self, kind: Kind, client: Client, address: str, asked: Question, decision: Decision) -> Event:
        """A question and its answer, without the path: that is added where content was seen."""
        return Event(
            at=asked.at.timestamp(),
            kind=kind,
            school=client.school,
            group=client.group,
            network=client.network,
            identified_by=client.identified_by,
            person=client.person or "",
            address=address,
            device=client.device,
            host=asked.host,
            action=decision.action,
            handling=decision.handling,
            reason=decision.reason,
            category=decision.category or "",
            list=decision.list or "",
            rule=decision.rule or "",
            change=decision.change or 0,
            worker=self._worker,
        )

    def again(self, event: Event, decision: Decision, detail: str) -> Event:
        """The same once more was learnt about it: its words, and what followed."""
        return event._replace(
            action=decision.action, reason=decision.reason, category=decision.category or "", list=decision.list or "",
            rule=decision.rule or "", change=decision.change or 0, detail=detail,
        )  # fmt: skip

    def called(self, event: Event, title: str) -> None:
        """What a page that is recorded already calls itself. Should it never arrive, the page is in the log all the same."""
        if title:
            self(Event(event.at, Kind.TITLE, event.school, host=event.host, worker=self._worker, title=title))

    def refused(self, client: Client, address: str, host: str, outcome: str) -> Event:
        """Something that no browser asks: refused before there was a question to decide."""
        return Event(
            at=time.time(),
            kind=Kind.CONNECTION,
            school=client.school,
            group=client.group,
            network=client.network,
            identified_by=client.identified_by,
            person=client.person or "",
            address=address,
            device=client.device,
            host=_shown(host),
            action=Action.BLOCK,
            reason=Reason.ERROR,
            outcome=outcome,
            worker=self._worker,
        )

    def trouble(self, what: str, address: str, host: str = "") -> None:
        """The filter could not decide and refused: logged once, recorded once."""
        log.error("could not decide about %s; refused", what, exc_info=sys.exception())
        self(
            Event(
                at=time.time(),
                kind=Kind.CONNECTION,
                address=address,
                host=_shown(host),
                action=Action.BLOCK,
                reason=Reason.ERROR,
                outcome="refused",
                detail=f"could not decide about {what}",
                worker=self._worker,
            )
        )


def _shown(host: str) -> str:
    """A host as a stranger wrote it, in plain ASCII."""
    return ascii(host)[1:-1][:LONGEST_HOST]
