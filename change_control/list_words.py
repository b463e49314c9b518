"""What changes of lists do, in words: for the headteacher who signs them. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from category_lists.taxonomy import Taxonomy
from category_lists.weigh import vouches
from policy.rules import Document
from policy.words import uk_end

type Diff = Mapping[str, Any]

SHOWN = 4  # lists that are named one by one
VOUCHES = (
    " Lists that vouch also open sites: what they name opens even where another list calls it games, advertising, shopping, "
    "social networks or the like. Against malware, pornography and everything else that could do harm they count nothing."
)


def tell_dictionary(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    lists: Sequence[Mapping[str, Any]] = diff["lists"]
    if len(lists) == 1:
        return f"{document.name} filters with {_list(lists[0], taxonomy)}.{_vouching(lists)}"
    total = sum(int(one["entries"]) for one in lists)
    categories = list(dict.fromkeys(category_name(one.get("category"), taxonomy) for one in lists))
    named = ", ".join(categories[:SHOWN]) + (f" and {len(categories) - SHOWN} more" if len(categories) > SHOWN else "")
    kinds = _many(len(categories), "category")
    said = f"{document.name} filters with {len(lists)} lists of {total:,} sites in {kinds}: {named}."
    replaced = [one for one in lists if one.get("before")]
    if replaced:
        added, removed = (sum(int(one[word]) for one in replaced) for word in ("added", "removed"))
        said += f" {len(replaced)} of them replace older versions: {added:,} sites come, {removed:,} go."
    return said + _vouching(lists)


def _vouching(lists: Sequence[Mapping[str, Any]]) -> str:
    some = [str(one.get("id")) for one in lists if vouches(str(one.get("id")))]
    if not some:
        return ""
    more = f" and {len(some) - SHOWN} more" if len(some) > SHOWN else ""
    return f" These of them vouch for sites: {', '.join(some[:SHOWN])}{more}.{VOUCHES}"


def _list(one: Mapping[str, Any], taxonomy: Taxonomy) -> str:
    said = f"the list {one.get('id')}: {int(one.get('entries') or 0):,} sites in the category "
    said += category_name(one.get("category"), taxonomy)
    if one.get("before"):
        said += f" ({int(one['added']):,} come and {int(one['removed']):,} go since the version before)"
    return said


def tell_subscription(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    terms = diff["terms"]
    feed, bounds = terms["feed"], terms["bounds"]
    names = [category_name(category, taxonomy) for category in bounds["categories"]]
    ratified = (
        f" She ratifies each update within {_many(int(terms['ratify_days']), 'day')}." if "ratify_days" in terms else ""
    )
    listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return (
        f"{document.name} subscribes to {feed['name']} ({listed}) until {uk_end(datetime.fromisoformat(terms['until']))}. "
        f"An update takes effect by itself while each list loses at most {bounds['max_shrink_percent']}% and gains at most "
        f"{bounds['max_growth_percent']}%, holds at most {bounds['max_entries']:,} sites and opens none; what goes beyond "
        f"that waits for the headteacher.{ratified}{VOUCHES if bounds.get('vouches') is True else ''}"
    )


def tell_recategorise(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    site, category = str(diff.get("site")), str(diff.get("category") or "")
    if not category:
        return f"{document.name} takes {site} out of every category, whatever lists say."
    return f"{document.name} counts {site} as {category_name(category, taxonomy)} and as nothing else, whatever lists say."


def tell_sealed(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    made = diff.get("sealed", {})
    return (
        f"{document.name} refuses everything in the sealed list of {made.get('issuer')} of {made.get('issued')}. "
        "Nobody can open or read what is in it. Two people sign, and it can only be replaced by a newer one."
    )


def category_name(category: object, taxonomy: Taxonomy) -> str:
    known = taxonomy.categories.get(str(category))
    return known.name if known else str(category)


def _many(count: int, one: str) -> str:
    more = f"{one[:-1]}ies" if one.endswith("y") and one != "day" else f"{one}s"
    return f"{count:,} {one if count == 1 else more}"
