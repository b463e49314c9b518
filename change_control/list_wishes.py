"""What people ask for about lists, beyond taking one in: subscriptions, corrections, and the sealed list."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from category_lists.catalogue import Bounds, Feed
from category_lists.sealed import Bundle
from category_lists.taxonomy import Taxonomy
from change_control.changes import Diff, dictionary_diff
from policy.rules import Document, instant


@dataclass(frozen=True, slots=True)
class SubscriptionWish:
    """Let a feed's updates take effect by themselves, within bounds, until a date.

    Approved, it is the signature that each update within the bounds rests on; none is ratified once more (policy/grounds.py).
    """

    feed: Feed
    begins: datetime
    until: datetime
    bounds: Bounds

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del document
        for category in self.feed.categories:
            known = taxonomy.categories.get(category)
            if known is None or known.locked:
                raise ValueError(f"a feed cannot fill the category {category!r} here")
        feed = self.feed
        terms = {
            "kinds": ["dictionary"],
            "roles": [role(feed.id)],
            "feed": {"id": feed.id, "name": feed.name, "address": feed.address, "licence": feed.licence},
            "bounds": {
                **asdict(self.bounds),
                "categories": sorted(feed.categories),
                "no_essentials": True,
                "no_public_suffix": True,
                **({"vouches": True} if feed.vouches else {}),
            },
            "from": instant(self.begins),
            "until": instant(self.until),
        }
        return {"kind": "subscription", "change": change, "add": {}, "remove": {}, "set": {}, "terms": terms}


def role(feed: str) -> str:
    """Under which role a feed's updates act."""
    return f"feed:{feed}"


@dataclass(frozen=True, slots=True)
class RecategoriseWish:
    """Say for one school what a site is, whatever lists say. `category` "": none of what lists say is true of it."""

    dictionary: str
    site: str
    category: str
    overrules: tuple[str, ...] = ()  # the lists that say something else
    agrees: tuple[str, ...] = ()  # the lists that say so already

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        made = dictionary_diff("recategorise", change, document, self.dictionary)
        told = {"overrules": list(self.overrules), "agrees": list(self.agrees)}
        return {**made, "site": self.site, "category": self.category, **told}


@dataclass(frozen=True, slots=True)
class SealedWish:
    """Refuse what a licensed bundle of illegal content holds. The diff tells of the bundle, never of what is in it."""

    dictionary: str
    bundle: Bundle

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        made = dictionary_diff("sealed", change, document, self.dictionary)
        told: Mapping[str, object] = {
            "digest": self.bundle.digest,
            "issuer": self.bundle.issuer,
            "issued": self.bundle.issued,
            "entries": self.bundle.entries,
        }
        return {**made, "sealed": dict(told)}
