"""What becomes of a tunnel once its first bytes are read: passed through untouched, or opened by us. Decides nothing itself.

The theory. A client asks for a tunnel (CONNECT host:port) and then greets the site by TLS; the greeting names the site in
clear (SNI). Decision.handling says whether the content must be seen. *Direct* means that the bytes go through as they are,
to the address that we resolve for the name of the CONNECT line, and the browser sees the site's own certificate. Everything
else is opened with a certificate of our own CA, a blocked name too: that is how the block page is seen at an https address.

What becomes of greetings that do not say plainly where they go (each is a test):

    no SNI                      the name of the CONNECT line decides; each request inside must bear it
    SNI other than CONNECT      opened, and every request inside is refused: its names differ
    SNI that cannot be read     the same
    encrypted (ECH)             the outer name is all there is: it is judged like any name, never passed through where it is
                                known to stand for others, and our answer is no ECH server's, so the browser greets again
                                in clear or gives up. Our resolver takes the keys for it out of its answers.
    an address, no name         judged as an address (rules, lists); upstream must show a certificate for that address
    Host, :authority other      refused, each request and each HTTP/2 stream for itself
    site's certificate wrong    expired, not yet valid, another name, self-signed, unknown authority, chain incomplete, only
                                a common name, weak key or signature, TLS below 1.2: refused, as the browser would have

INVARIANT: what passes through was decided by a name that is at once the CONNECT host and the SNI. A greeting that hides
or bends its name is opened, and then each request is judged, or refused because its names differ.
"""

from collections.abc import Iterable

from category_lists.names import NameRefused
from policy.decide import Decision
from policy.rules import Action, Handling
from proxy.questions import tunnel_host

# Outer names of greetings whose true name is encrypted (ECH). Whoever greets with one means another site.
ECH_NAMES = frozenset({"cloudflare-ech.com"})
SERVER_NAME = 0  # the TLS extension that carries the SNI


def greeted_host(target: str, sni: str | None, extensions: Iterable[int]) -> str | None:
    """The host that may be decided for the whole tunnel; None when the greeting gives no one honest name."""
    if sni is None and SERVER_NAME in extensions:
        return None  # it names something that mitmproxy could not read; the site might
    return honest_host(target, sni)


def honest_host(target: str, sni: str | None) -> str | None:
    """The same, of a greeting whose name can be read or that has none."""
    try:
        host = tunnel_host(target, sni)
    except NameRefused:
        return None
    return None if host in ECH_NAMES else host


def passes_through(decision: Decision) -> bool:
    return decision.handling is Handling.DIRECT and decision.action is Action.ALLOW
