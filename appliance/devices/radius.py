"""RADIUS accounting (RFC 2866), as access controllers, NPS and FreeRADIUS send it: who signed in where. Pure but for memory.

A packet proves by the shared secret that its sender made it, but not when: an old one can be sent again by anybody who saw
it. So what is the same packet within a minute is a repetition (our answer was lost), and is answered again; later it is a
replay, and is not. A session that has ended does not begin again, and a beginning whose Event-Timestamp is long past is
answered, so that the sender forgets it, and changes nothing. Whatever cannot be proven gets no answer at all.

What names nobody is no person: the outer names of EAP ("anonymous@..."), a machine's own sign-in ("host/..."), and a device's
MAC where a switch lets it in by that (MAB).
"""

import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from pyrad.packet import AccountingRequest, AcctPacket, PacketError, StatusServer

from appliance.devices.settings import RadiusClient
from monitoring.devices import mac_of
from policy.presence import ONE_DEVICE, network_of

log = logging.getLogger(__name__)

START, STOP, INTERIM, ON, OFF = 1, 2, 3, 7, 8  # Acct-Status-Type
USER, NAS_IP, FRAMED_IP, FILTER_ID, CLASS, CALLING, NAS = 1, 4, 8, 11, 25, 31, 32  # attributes
STATUS, DELAY, SESSION, AT, MESSAGE, NAS_IPV6, PREFIX, FRAMED_IPV6 = 40, 41, 44, 55, 80, 95, 97, 168
REPEATED_S: Final = 60.0  # so long a sender repeats a packet that it got no answer to
REPLAYED_S: Final = 86_400.0  # so long a packet is known again
LATE_S: Final = 900.0  # a beginning that is older was not sent now
MOST: Final = 100_000  # packets and ended sessions that are remembered
LONGEST: Final = 253


@dataclass(frozen=True, slots=True)
class Session:
    """Someone signed in, as a server says."""

    key: str  # which one it is, of all senders
    how: str  # "radius" or "portal"
    user: str  # in small letters
    device: str  # the MAC; "" when it was not said
    addresses: tuple[str, ...]  # and IPv6 networks of one device
    roles: tuple[str, ...]
    school: str  # it is about this school's addresses only; "": about any
    at: float
    until: float
    code: str = ""  # the guest code that it rests on


@dataclass(frozen=True, slots=True)
class Source:
    """A client with its secret."""

    client: RadiusClient
    secret: bytes


class Accounting:
    """What senders of accounting have said. `sessions` is the outcome."""

    def __init__(self, sources: Iterable[Source], session_s: float, clock: Callable[[], float]) -> None:
        self._sources, self._session_s, self._clock = tuple(sources), session_s, clock
        self.sessions: dict[str, Session] = {}
        self.ended: OrderedDict[str, float] = OrderedDict()
        self._packets: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()  # digest -> when, and our answer
        self.counts: Counter[str] = Counter()

    def datagram(self, data: bytes, source: str) -> bytes | None:
        """The answer to a packet; None: silence."""
        now = self._clock()
        known = next((one for one in self._sources if one.client.has(source)), None)
        if known is None:
            self.counts["stranger"] += 1
            return None
        mark = hashlib.sha256(source.encode() + b"\0" + data).digest()
        if held := self._packets.get(mark):
            again = now - held[0] <= REPEATED_S
            self.counts["repeated" if again else "replayed"] += 1
            return held[1] if again else None
        packet = _proven(data, known.secret)
        if packet is None:
            self.counts["unproven"] += 1
            if self.counts["unproven"] in (1, 10, 100, 1000):
                log.warning("a RADIUS packet of %s (%s) has another secret than ours, or is none", known.client.name, source)
            return None
        if packet.code == AccountingRequest:
            self._take(packet, known, source, now)
        answer: bytes = packet.CreateReply().ReplyPacket()
        self._packets[mark] = now, answer
        _forget(self._packets, now - REPLAYED_S, lambda value: value[0])
        return answer

    def expire(self) -> bool:
        """End what nobody ended. True when something was."""
        now = self._clock()
        over = [key for key, one in self.sessions.items() if one.until <= now]
        for key in over:
            self._end(key, now)
        return bool(over)

    def _take(self, packet: AcctPacket, known: Source, source: str, now: float) -> None:
        status, nas = (
            _number(packet, STATUS),
            _text(packet, NAS) or _text(packet, NAS_IP) or _text(packet, NAS_IPV6) or source,
        )
        whose = f"{known.client.name}/{nas}/"
        if status in (ON, OFF):  # it begins anew, or ends: nobody is signed in there any more
            for key in [key for key in self.sessions if key.startswith(whose)]:
                self._end(key, now)
            self.counts["on or off"] += 1
            return
        key = whose + _text(packet, SESSION)
        if status == STOP:
            self._end(key, now)
            self.counts["stop"] += 1
            return
        said = _number(packet, AT) or now
        at = min(now, said - _number(packet, DELAY) if not _number(packet, AT) else said)
        held = self.sessions.get(key)
        if status not in (START, INTERIM) or key in self.ended or now - at > LATE_S or (held and at < held.at):
            self.counts["late"] += 1
            return
        self.counts["start" if status == START else "interim"] += 1
        new = _session(packet, key, known.client.school, at, now + self._session_s)
        if held:  # an update may leave out what has not changed
            new = replace(
                new,
                user=new.user or held.user,
                device=new.device or held.device,
                addresses=new.addresses or held.addresses,
                roles=new.roles or held.roles,
            )
        self.sessions[key] = new
        if len(self.sessions) > MOST:
            self.sessions.pop(next(iter(self.sessions)))

    def _end(self, key: str, now: float) -> None:
        self.sessions.pop(key, None)
        self.ended[key] = now
        _forget(self.ended, now - REPLAYED_S, lambda at: at)


def _forget[K, V](held: OrderedDict[K, V], before: float, at: Callable[[V], float]) -> None:
    while held and (len(held) > MOST or at(next(iter(held.values()))) < before):
        held.popitem(last=False)


def _proven(data: bytes, secret: bytes) -> AcctPacket | None:
    """A request that was made with the secret."""
    try:
        packet = AcctPacket(packet=data, secret=secret)
        good = packet.code in (AccountingRequest, StatusServer) and packet.VerifyAcctRequest()
        if good and packet.code == AccountingRequest and MESSAGE in packet:
            good = packet.verify_message_authenticator()
    except (PacketError, ValueError, LookupError, TypeError, AssertionError):
        return None
    return packet if good else None


def _session(packet: AcctPacket, key: str, school: str, at: float, until: float) -> Session:
    addresses = [str(IPv4Address(value)) for value in _values(packet, FRAMED_IP) if len(value) == 4 and any(value)]
    addresses += [str(IPv6Address(value)) for value in _values(packet, FRAMED_IPV6) if len(value) == 16]
    for value in _values(packet, PREFIX):
        if 2 <= len(value) <= 18:
            whole = str(IPv6Address(value[2:].ljust(16, b"\0")))
            if value[1] == ONE_DEVICE:
                addresses.append(network_of(whole))
            elif value[1] == 128:
                addresses.append(whole)
    roles = [_shown(value) for kind in (CLASS, FILTER_ID) for value in _values(packet, kind)]
    return Session(
        key, "radius", user_of(_text(packet, USER)), mac_of(_text(packet, CALLING)), tuple(dict.fromkeys(addresses)),
        tuple(dict.fromkeys(filter(None, roles)))[:20], school, at, until,
    )  # fmt: skip


def _values(packet: AcctPacket, kind: int) -> list[bytes]:
    return [bytes(value) for value in packet[kind]] if kind in packet else []


def _shown(value: bytes) -> str:
    """What can be read by people; "" for what a server wrote for itself."""
    text = value.decode("utf-8", "replace").strip("\0 ")
    readable = text.isprintable() and "\ufffd" not in text
    return text[:LONGEST] if readable and not text.startswith("portal/") else ""  # those roles are the portal's to give


def _text(packet: AcctPacket, kind: int) -> str:
    found = _values(packet, kind)
    if not found:
        return ""
    return _shown(found[0]) or found[0].hex()


def _number(packet: AcctPacket, kind: int) -> int:
    found = _values(packet, kind)
    return int.from_bytes(found[0]) if found and len(found[0]) == 4 else 0


def user_of(text: str) -> str:
    """A name as rules have it: small letters, a domain's name after it (asmith@hill); "" for what names nobody."""
    text = " ".join(text.split()).casefold()
    if "\\" in text:
        domain, _, name = text.partition("\\")
        text = f"{name}@{domain}" if name and domain else name
    local = text.partition("@")[0]
    if not text.isprintable() or not local or local in ("anonymous", "anon") or text.startswith("host/") or mac_of(local):
        return ""
    return "" if local.endswith("$") else text[:LONGEST]
