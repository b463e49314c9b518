"""Requests made at a block page, and what the proxy proposes itself: from its spool to change control.

They travel through the spool and not over a socket of the desk: nothing is lost while the desk is down, the proxy holds no
way into the desk that could be attacked, and the same request handed over twice counts once, by its reference.
"""

import logging

from change_control.changes import SiteWish
from change_control.screening import BLOCK_PAGE
from change_control.service import FILTER, Office
from change_control.site_wishes import ListedWish
from change_control.store import Store
from policy.event import NEVER_INSPECT, Event
from policy.rules import Action, SchoolPolicy

log = logging.getLogger(__name__)


def take_request(store: Store, office: Office, event: Event) -> None:
    """Make a request for a site of the asker's own group out of what was sent at the block page. Idempotent."""
    site = event.host + ("" if event.path in {"", "/"} else event.path)
    with store.write() as session:
        try:
            force = office.book(session, event.school).in_force()
            group = force.document.group(event.group) if force and isinstance(force.document, SchoolPolicy) else None
            asker = f"{event.term or 'someone'} ({group.name if group else event.group}), at {event.address}"
            pinned = event.reason == NEVER_INSPECT
            office.request(
                session,
                event.school,
                ListedWish("never_inspect", event.host) if pinned else SiteWish(site, Action.ALLOW, (event.group,)),
                by=None,
                reason=(event.detail or "No reason was given.") + _needs(event),
                source=FILTER if pinned else BLOCK_PAGE,
                asker="the filter itself" if pinned else asker,
                reference=event.outcome,
                group="" if pinned else event.group,
            )
        except (ValueError, LookupError) as error:
            # It cannot become a change (a path on a site that is an address, a group that is no more): said, not lost.
            log.warning("request %s cannot be taken: %s", event.outcome, error)
            session.rollback()


def _needs(event: Event) -> str:
    """What the site's pages wanted and did not get: the headteacher may want to open that too."""
    if event.reason == NEVER_INSPECT or not event.list:
        return ""
    return f"\n\nIts pages also wanted {', '.join(event.list.split())}, and did not get it."
