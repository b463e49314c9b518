"""From what a client says about where it is going to the Question that is decided. Pure: text in, values out.

A client names its destination up to four times: in the CONNECT line or URL, in the TLS greeting (SNI), in `:authority` and in
`Host`. A site behind a content network can be reached under another's name if those differ ("domain fronting"), so they must
all be the same name once canonical, or the request is refused.
"""

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote

from category_lists.names import NameRefused, Site, canonical_host, canonical_path, canonical_site, shown
from policy.decide import Question
from policy.identity import Client

_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_NOT_IN_A_HOST = frozenset("@/\\?# \t\r\n")


class NamesDiffer(NameRefused):
    """Raised when a client names two destinations for one request."""


def request_site(target: str, names: Iterable[str], path: bytes) -> Site:
    """The one site of a request; NameRefused when it has none or more than one.

    `target` is where the bytes would go, `names` what else the client called it. `path` comes as the bytes that were sent,
    since a raw byte and its %-spelling reach the same page.
    """
    host = canonical_host(target)
    for name in names:
        if _named(name) != host:
            raise NamesDiffer(f"The request is for {shown(host)} but names {shown(name)}.")
    bare, _, query = quote(path, safe=_ASCII).partition("?")
    return Site(host, canonical_path(bare), query.partition("#")[0])


def tunnel_host(target: str, sni: str | None) -> str:
    """The one host of a tunnel. Without a name in the TLS greeting it is the one of the CONNECT line."""
    host = canonical_host(target)
    if sni is not None and canonical_host(sni) != host:
        raise NamesDiffer(f"The tunnel is for {shown(host)} but the greeting names {shown(sni)}.")
    return host


def question(
    client: Client, host: str, path: str | None, at: datetime, query: str = "", themes: tuple[str, ...] = ()
) -> Question:
    return Question(
        school=client.school, group=client.group, host=host, at=at, path=path, path_follows=True, person=client.person,
        query=query, themes=themes,
    )  # fmt: skip


def _named(name: str) -> str:
    """The host of a Host header or :authority: a name and perhaps a port, nothing else."""
    if not name or not _NOT_IN_A_HOST.isdisjoint(name):
        raise NameRefused(f"This is not a host: {shown(name)}.")
    return canonical_site(name).host
