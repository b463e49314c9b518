"""Under which names strangers register their own: the public suffix list, and a few shared hosts that it leaves out.

One entry for such a name would take thousands of unrelated sites away, so a list may name one only if a person says so.
The file is the Mozilla one as packaged; only its text is used, since a set answers a hundred times as fast as its class,
and every name of every list is asked about here.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final

from publicsuffixlist import PSLFILE

from category_lists.names import SHARED_SUFFIXES, NameRefused, canonical_host, is_address

PRIVATE: Final = "private"  # said instead of a name: suffixes that a company, not a registry, hands out
_PRIVATE_BEGINS = "===BEGIN PRIVATE DOMAINS==="

# Hosts where every account has a name of its own that are missing from the public list, or stand there only by parts.
_ALSO_SHARED = ["amazonaws.com", "blogspot.co.uk", "glitch.me", "gov.im", "gov.wales", "llyw.cymru", "wordpress.com"]


class Suffixes:
    """The rules of the list, by the names that they make shared."""

    __slots__ = ("_except", "_private", "names", "wild")

    def __init__(self, text: str) -> None:
        names: set[str] = set()
        private: set[str] = set(_ALSO_SHARED)
        wild: set[str] = set()
        excepted: set[str] = set()
        section = names
        for line in text.splitlines():
            rule = line.strip()
            if _PRIVATE_BEGINS in rule:
                section = private
            if not rule or rule.startswith("//"):
                continue
            mark, name = ("!", rule[1:]) if rule[0] == "!" else ("*", rule[2:]) if rule.startswith("*.") else ("", rule)
            try:
                host = canonical_host(name)
            except NameRefused:  # a name that no browser could ask for needs no guard
                continue
            (excepted if mark == "!" else wild if mark == "*" else section).add(host)
        self.names = frozenset(names | private | wild)  # what has only shared names below it is as wide as they are
        self._private, self.wild, self._except = frozenset(private), frozenset(wild), frozenset(excepted)

    def shared(self, host: str) -> bool:
        """Say whether strangers register their own names directly under this canonical host."""
        if host in self.names:
            return True
        return host.partition(".")[2] in self.wild and host not in self._except

    def site_of(self, host: str) -> str:
        """The name that somebody registered: what is below the longest shared name that a canonical host ends with."""
        site = rest = host
        while "." in rest and not self.shared(rest):
            site, rest = rest, rest.partition(".")[2]
        return site

    def private(self, host: str) -> bool:
        """Say whether it is a company (a blog host, a dynamic DNS service) that hands the names out."""
        return host in self._private


@cache
def load() -> Suffixes:
    """Read the packaged list, once a process."""
    return Suffixes(Path(PSLFILE).read_text(encoding="utf-8"))


def too_wide(host: str, allowed: Collection[str] = ()) -> str | None:
    """Why an entry for this canonical host would take too much away, as the end of a sentence; None if it would not.

    `allowed` holds names that a person let through, and may hold PRIVATE. Whole top levels are never let through.
    """
    if "." not in host:
        return None if is_address(host) else "it is a whole top-level domain"
    suffixes = load()
    if not suffixes.shared(host) or host in allowed:
        return None
    if PRIVATE in allowed and suffixes.private(host) and host not in SHARED_SUFFIXES:
        return None
    return "it is shared by many unrelated sites"


def usual_exceptions(category: str) -> frozenset[str]:
    """What a list of this category may name without anyone saying so: dynamic DNS lists are lists of such names.

    The hosts that lessons use (SHARED_SUFFIXES: github.io, pages.dev) still need to be named one by one.
    """
    return frozenset((PRIVATE,)) if category == "dynamic_dns_new" else frozenset()
