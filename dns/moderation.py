"""What keeps this resolver from being turned against others: cookies, and bounds on what who may be forged is sent."""

import secrets
from dataclasses import replace
from typing import Final

from dns import codec
from dns.codec import Edns
from dns.cookies import cookie, valid
from dns.counters import Counters
from dns.limits import Rate
from dns.settings import Settings

LARGE: Final = 512  # bytes of a UDP reply that are worth an attacker's while


class Moderation:
    """Of one worker."""

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self._cookie_key, self._keepalive = settings.cookie_key or secrets.token_bytes(32), int(settings.tcp_idle_s * 10)
        self._large, self._refusals = Rate(settings.large_replies_s), Rate(settings.refusals_s)
        self._counters = counters

    def silent(self, address: str, now: float) -> bool:
        """Is this address of no school told nothing? Who forges addresses must not fill a victim's line, nor our log."""
        if self._refusals.over(address, now):
            self._counters.dropped["stranger"] += 1
            return True
        return False

    def greeted(self, edns: Edns, listener: str, address: str, now: float, *, tcp: bool) -> Edns:
        """What the client said of itself, with what we say to it."""
        secret = listener.startswith(("dot:", "doh:"))
        reply = b""
        if edns.cookie:
            reply += codec.option(codec.COOKIE, cookie(self._cookie_key, edns.cookie, address, now))
        if edns.keepalive and tcp and not listener.startswith("doh:"):  # RFC 7828 3.2.1: not by UDP; HTTP has its own way
            reply += codec.option(codec.KEEPALIVE, self._keepalive.to_bytes(2))
        return replace(edns, reply=reply, padded=edns.padded and secret)

    def moderated(self, packet: bytes, reply: bytes, address: str, now: float) -> bytes:
        """A large reply by UDP: an address that asks for many may be a victim's, unless it has brought our cookie."""
        if not self._large.over(address, now):
            return reply
        query = codec.parse(packet)
        if query.edns and valid(self._cookie_key, query.edns.cookie, address, now):
            return reply
        self._counters.dropped["large reply"] += 1
        return codec.truncated(query)
