"""Requests made at a block page: from the proxy's spool to change control.

They travel through the spool and not over a socket of the desk: nothing is lost while the desk is down, the proxy holds no
way into the desk that could be attacked, and the same request handed over twice counts once, by its reference.
"""

import logging

from change_control.changes import SiteWish
from change_control.service import BLOCK_PAGE, Office
from change_control.store import Store
from policy.event import Event
from policy.rules import Action

log = logging.getLogger(__name__)


def take_request(store: Store, office: Office, event: Event) -> None:
    """Make a request for a site of the asker's own group out of what was sent at the block page. Idempotent."""
    site = event.host + ("" if event.path in {"", "/"} else event.path)
    asker = f"{event.term or 'someone'}, {event.group}, at {event.address}"
    with store.write() as session:
        try:
            office.request(
                session,
                event.school,
                SiteWish(site, Action.ALLOW, (event.group,)),
                by=None,
                reason=event.detail or "No reason was given.",
                source=BLOCK_PAGE,
                asker=asker,
                reference=event.outcome,
                group=event.group,
            )
        except (ValueError, LookupError) as error:
            # It cannot become a change (a path on a site that is an address, a group that is no more): said, not lost.
            log.warning("request %s cannot be taken: %s", event.outcome, error)
            session.rollback()
