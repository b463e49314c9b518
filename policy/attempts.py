"""The kinds of attempts to get round the filter, one word each, and what each weighs. Pure.

An event says them in its detail (`bypass:vpn`); the resolver, the proxy and the gateway write them, the desk counts them.
"""

from typing import Final

MARK: Final = "bypass:"

POINTS: Final = {
    "tunnel": 10.0,  # data in names
    "no web": 5.0,  # something else than the web on the web's ports: a VPN, a shell
    "wrong name": 5.0,  # a site's connection that names another site: a changed hosts file, a bent greeting
    "tor": 5.0,
    "vpn": 3.0,
    "doh": 3.0,  # another resolver, encrypted
    "name inside": 3.0,  # a site fetched through a translator and the like
    "address inside": 3.0,
    "rebinding": 3.0,  # a public name that leads into the school
    "dynamic DNS": 2.0,
    "remote control": 2.0,
    "search": 1.0,  # an engine without safe search
    "transfer": 1.0,
    "odd name": 1.0,
    "odd": 1.0,  # bytes that no browser sends
    "no name": 1.0,  # an address that was told nobody, without a name
    "other class": 1.0,
    "new name": 0.0,  # nobody here has asked for it before, and no list knows it: most are harmless
    "canary": 0.0,  # a device asks this by itself, before anyone has tried anything
    "designation": 0.0,  # likewise
}
OF_OUTCOME: Final = {
    "protocol": "no web",
    "name": "wrong name",
    "unresolved": "no name",
    "odd": "odd",
}  # of a refused connection


def told(kind: str, score: float | None = None) -> str:
    """How an event says it."""
    return f"{MARK}{kind}" if score is None else f"{MARK}{kind} (score {score:.0f})"


def kind_of(detail: str, outcome: str) -> str:
    """The kind that an event speaks of; "" when it is no attempt."""
    _, marked, rest = detail.partition(MARK)
    kind = rest.partition(";")[0].partition(" (score")[0].strip() if marked else OF_OUTCOME.get(outcome, "")
    return kind if kind in POINTS else ""
