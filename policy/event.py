"""The record of one thing the filter saw or did: what dns/ and proxy/ hand to the spool, and monitoring/ reads back.

Pupils are pseudonyms here already. No bodies, no query strings but the search term, no path where content is not inspected.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    DNS = "dns"  # a name was asked for
    CONNECTION = "connection"  # a tunnel passed through untouched, or was refused by its name alone
    PAGE = "page"  # a page (document) was asked for
    RESOURCE = "resource"  # what a page pulls in: image, script, call
    SEARCH = "search"  # a search, its words in `term`
    REQUEST = "request"  # someone asked for a site from the block page; their words in `detail`, whom for in `term`
    NOTICE = "notice"  # the filter speaks of itself: a policy refused, a worker's trouble; words in `detail`
    TITLE = "title"  # what a page that is recorded already calls itself: no line of its own, the words go to that page's


NEVER_INSPECT = "never_inspect"  # reason of a REQUEST that the filter makes itself: that a site be never looked into


class Event(NamedTuple):
    """One line of the filter log (DfE's minimum and what explains it).

    A tuple, since one is made for every DNS query: a frozen dataclass takes six times as long to build.
    """

    at: float  # seconds since 1970, UTC
    kind: str
    school: str = ""
    group: str = ""
    network: str = ""
    identified_by: str = "none"
    person: str = ""  # pseudonym
    address: str = ""  # the client's IP address
    device: str = ""
    host: str = ""
    path: str = ""
    term: str = ""  # search words
    action: str = ""
    handling: str = ""
    reason: str = ""
    category: str = ""
    list: str = ""  # of a REQUEST: the hosts that the site's pages were refused, with spaces between them
    rule: str = ""
    change: int = 0  # number of the change, 0: none
    outcome: str = ""  # "NOERROR", "SERVFAIL", "200", "refused", ...
    detail: str = ""
    worker: str = ""
    title: str = ""  # of a page that was opened and read: what it calls itself

    def encode(self) -> bytes:
        """Compact JSON, fields in order, those at the end that say nothing left out."""
        last = len(self)
        while last > 2 and self[last - 1] == _BLANKS[last - 1]:
            last -= 1
        return _write(self[:last]).encode()


def stamp(at: float) -> bytes:
    """The beginning of an event that is written in parts: stamp, `opening`, `ending`. For whoever writes 50,000 a second

    of which only the moment is new: the parts are kept and joined, and `decode` reads the whole as it reads any event.
    """
    return b"[%r" % at


def opening(  # by position, in the order of Event's fields
    kind: str, school: str, group: str, network: str, identified_by: str, person: str, address: str, device: str
) -> bytes:
    """The part of an event that says who asked."""
    return f",{_write((kind, school, group, network, identified_by, person, address, device))[1:-1]},".encode()


def ending(*fields: str | int) -> bytes:
    """The part that says what was asked and answered: all fields from `host` to `worker`, for what has no title."""
    if len(fields) != _ENDING:
        raise ValueError(f"an event's ending has {_ENDING} fields, not {len(fields)}")
    return _write(fields)[1:].encode()


_write = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make this encoder anew for every event
_read = json.JSONDecoder().raw_decode  # nor guesses the encoding, and skips no white space
FIELDS = Event._fields
_ENDING = FIELDS.index("worker") + 1 - FIELDS.index("host")
_BLANKS = tuple(Event._field_defaults.get(name) for name in FIELDS)  # what decode gives a field that is not there


def decode(data: bytes) -> Event:
    """The event that `encode` wrote; ValueError on anything else. What each field holds is the reader's to check."""
    try:
        text = data.decode()
        values, end = _read(text)
    except RecursionError:
        raise ValueError("not an event") from None
    if end != len(text) or not _is_event(values):
        raise ValueError("not an event")
    return Event(*values)


def decode_all(many: Sequence[bytes]) -> list[Event]:
    """What `decode` makes of each, at half the cost; ValueError where one of them is no event, without saying which."""
    text = (b"[" + b",".join(many) + b"]").decode()
    try:
        found, end = _read(text)
    except RecursionError:
        raise ValueError("not all of them are events") from None
    # Each begins and ends as a list does, and as many lists came out: so none was made of two, or two of one.
    apart = all(one[:1] == b"[" and one[-1:] == b"]" for one in many)
    if not apart or end != len(text) or len(found) != len(many) or not all(_is_event(one) for one in found):
        raise ValueError("not all of them are events")
    return [Event._make(one + _REST[len(one)]) for one in found]


def _is_event(values: object) -> bool:
    return type(values) is list and 2 <= len(values) <= len(FIELDS)


_REST = [list(_BLANKS[count:]) for count in range(len(FIELDS) + 1)]  # what is not there, by how much is
