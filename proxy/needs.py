"""What pages wanted and did not get: the hosts refused as parts of a page, by the page's own host.

Whoever asks for a site asks for what it needs too: a page that opens without its player's host helps nobody, and nobody at
the desk can guess it. A worker remembers what it refused, for a while, by what browsers say of where a request comes from.
That can be left out or made up, so it is only told, and decides nothing. Sealed sites are never in it.
"""

from collections import OrderedDict
from contextlib import suppress
from urllib.parse import urlsplit

from category_lists.names import NameRefused, canonical_host

REMEMBERED = 4096  # pages
HOSTS = 8  # of each
LIFETIME = 1800.0  # seconds


class Needs:
    def __init__(self) -> None:
        self._of: OrderedDict[tuple[str, str], dict[str, float]] = OrderedDict()  # (client, page's host) -> host -> until

    def refused(self, address: str, came_from: str, host: str, now: float) -> None:
        """A host was refused to a client; `came_from` is the request's Referer or Origin, as it stands there."""
        page = page_host(came_from)
        if not page or page == host:
            return
        hosts = self._of.setdefault((address, page), {})
        self._of.move_to_end((address, page))
        hosts.pop(host, None)
        hosts[host] = now + LIFETIME
        if len(hosts) > HOSTS:
            del hosts[next(iter(hosts))]
        if len(self._of) > REMEMBERED:
            self._of.popitem(last=False)

    def of(self, address: str, page: str, now: float) -> tuple[str, ...]:
        """What this client's pages of a host wanted and did not get, in the order of names."""
        return tuple(sorted(host for host, until in self._of.get((address, page), {}).items() if until > now))


def page_host(came_from: str) -> str:
    with suppress(NameRefused, ValueError):
        return canonical_host(urlsplit(came_from).hostname or "")
    return ""
