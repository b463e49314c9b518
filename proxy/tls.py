"""What becomes of a tunnel once its first bytes are read: passed through untouched, or opened by us. Decides nothing itself.

The theory. A client asks for a tunnel (CONNECT host:port) and then greets the site by TLS; the greeting names the site in
clear (SNI). Decision.handling says whether the content must be seen. *Direct* means that the bytes go through as they are,
to the address that we resolve for the name of the CONNECT line, and the browser sees the site's own certificate. Everything
else is opened with a certificate of our own CA, a blocked name too: that is how the block page is seen at an https address.

INVARIANT: what passes through was decided by a name that is at once the CONNECT host and the SNI. A greeting that hides
or bends its name is opened, and then each request is judged, or refused because its names differ.
"""

from collections.abc import Iterable

from category_lists.names import NameRefused
from policy.decide import Decision
from policy.rules import Action, Handling
from proxy.questions import tunnel_host

SERVER_NAME = 0  # the TLS extension that carries the SNI


def greeted_host(target: str, sni: str | None, extensions: Iterable[int]) -> str | None:
    """The host that may be decided for the whole tunnel; None when the greeting gives no one honest name."""
    if sni is None and SERVER_NAME in extensions:
        return None  # it names something that mitmproxy could not read; the site might
    try:
        return tunnel_host(target, sni)
    except NameRefused:
        return None


def passes_through(decision: Decision) -> bool:
    return decision.handling is Handling.DIRECT and decision.action is Action.ALLOW
