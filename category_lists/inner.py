"""Sites that carry another site inside: translators, archives, caches, readers, redirectors, and names that spell an address.

A filter that judges only the outer name opens everything to whoever knows one translator. `inner_sites` says which site is
really asked for; `policy.decide` then judges both, and the stricter answer holds. Where only a name is known (DNS), the
inner site is known only if the name spells it (`www-example-com.translate.goog`, `10-0-0-1.nip.io`: category_lists.embedded).

`imitated` is the other trick with names: `раypal.com` with Cyrillic letters, `paypa1.com`. It gives the name that it looks
like; whether that is a name worth imitating is for the lists to say. Pure.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import parse_qsl, unquote

from category_lists.confusables import DIGITS, LETTERS
from category_lists.embedded import hosts_in
from category_lists.names import NameRefused, Site, canonical_site, is_address

_LONGEST: Final = 2048  # characters of an inner address; longer ones are no addresses of pages

# Host (and what lies below it) -> (beginning of the path, parameters of the query that may hold the address).
_BY_QUERY: Final[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "translate.google.com": (("/", ("u", "url")),),
    "translate.googleusercontent.com": (("/", ("u",)),),
    "translate.yandex.com": (("/translate", ("url",)),),
    "translate.yandex.ru": (("/translate", ("url",)),),
    "microsofttranslator.com": (("/", ("a", "url", "u")),),
    "translatetheweb.com": (("/", ("a",)),),
    "papago.naver.net": (("/website", ("url", "u")),),
    "webcache.googleusercontent.com": (("/search", ("q",)),),
    "cc.bingj.com": (("/", ("u", "url")),),
    "cachedview.nl": (("/", ("url", "q")),),
    "google.com": (("/url", ("q", "url")), ("/imgres", ("imgrefurl", "imgurl")), ("/gwt/x", ("u",))),
    "duckduckgo.com": (("/l/", ("uddg",)), ("/l", ("uddg",)), ("/iu", ("u",))),
    "bing.com": (("/ck/a", ("u",)), ("/translator", ("to_url", "url")), ("/images/search", ("mediaurl",))),
    "l.facebook.com": (("/l.php", ("u",)),),
    "l.instagram.com": (("/", ("u",)),),
    "out.reddit.com": (("/", ("url",)),),
    "t.umblr.com": (("/redirect", ("z",)),),
    "vk.com": (("/away.php", ("to",)),),
    "youtube.com": (("/redirect", ("q",)),),
    "steamcommunity.com": (("/linkfilter", ("url", "u")),),
    "12ft.io": (("/", ("q", "url", "proxy")),),
    "images.weserv.nl": (("/", ("url",)),),
    "wsrv.nl": (("/", ("url",)),),
    "api.allorigins.win": (("/", ("url",)),),
    "corsproxy.io": (("/", ("url",)),),
    "validator.w3.org": (("/", ("uri", "doc")),),
    "archive.ph": (("/", ("url",)),),
    "archive.org": (("/wayback/available", ("url",)),),
    "viewdns.info": (("/", ("domain",)),),
    "via.hypothes.is": (("/", ("url",)),),
    "getpocket.com": (("/redirect", ("url",)),),
    "slack-redir.net": (("/link", ("url",)),),
    "safelinks.protection.outlook.com": (("/", ("url",)),),
    "urldefense.com": (("/", ("u",)),),
    "exit.sc": (("/", ("url",)),),
}

# Host -> what must be taken away from the front of the path before the address stands there.
_ADDRESS: Final = r"(?P<url>.+)"
_BY_PATH: Final[dict[str, tuple[re.Pattern[str], ...]]] = {
    host: tuple([re.compile(pattern) for pattern in patterns])
    for host, patterns in {
        "web.archive.org": [r"/(?:web|save)/(?:[0-9*]{1,14}[a-z_]{0,4}/)?" + _ADDRESS],
        "web-beta.archive.org": [r"/web/(?:[0-9*]{1,14}[a-z_]{0,4}/)?" + _ADDRESS],
        "archive.ph": [r"/(?:newest|oldest|o/[A-Za-z0-9]+|[0-9.-]{4,20})/" + _ADDRESS],
        "webcitation.org": [r"/query\?url=" + _ADDRESS],
        "webarchive.nationalarchives.gov.uk": [r"/(?:ukgwa/)?[0-9*]{1,14}[a-z_]{0,4}/" + _ADDRESS],
        "google.com": [r"/amp/(?:s/)?" + _ADDRESS],
        "cdn.ampproject.org": [r"/(?:[a-z]/)(?:s/)?" + _ADDRESS],
        "bing-amp.com": [r"/(?:[a-z]/)(?:s/)?" + _ADDRESS],
        "r.jina.ai": [r"/" + _ADDRESS],
        "12ft.io": [r"/(?:proxy/)?" + _ADDRESS],
        "1ft.io": [r"/(?:proxy/)?" + _ADDRESS],
        "removepaywall.com": [r"/(?:search/)?" + _ADDRESS],
        "outline.com": [r"/(?=https?:|[a-z0-9-]+\.)" + _ADDRESS],
        "txtify.it": [r"/" + _ADDRESS],
        "via.hypothes.is": [r"/" + _ADDRESS],
        "href.li": [r"/\?" + _ADDRESS],
        "anonym.to": [r"/\?" + _ADDRESS],
        "cors-anywhere.herokuapp.com": [r"/" + _ADDRESS],
        "corsproxy.io": [r"/\??" + _ADDRESS],
        "thingproxy.freeboard.io": [r"/fetch/" + _ADDRESS],
        "i0.wp.com": [r"/" + _ADDRESS],
        "i1.wp.com": [r"/" + _ADDRESS],
        "i2.wp.com": [r"/" + _ADDRESS],
        "i3.wp.com": [r"/" + _ADDRESS],
        "translated.turbopages.org": [r"/proxy_u/[^/]+/(?:[0-9a-f-]+/)?" + _ADDRESS],
        "r.search.yahoo.com": [r"/.*/RU=(?P<url>[^/]+)"],
        "ghostarchive.org": [r"/archive/(?=https?:)" + _ADDRESS],
        "view-page-source.com": [r"/" + _ADDRESS],
    }.items()
}
_SAME: Final = {
    "archive.is": "archive.ph", "archive.today": "archive.ph", "archive.fo": "archive.ph", "archive.li": "archive.ph",
    "archive.md": "archive.ph", "archive.vn": "archive.ph",
}  # fmt: skip
_GOOGLE: Final = re.compile(r"(?:(www|translate|news|images|m)\.)?google\.(?:com?\.)?[a-z]{2,3}").fullmatch


def inner_sites(site: Site) -> tuple[Site, ...]:
    """The sites that this one carries inside; most are only themselves."""
    if site.path is not None:
        for name in _known(site.host):
            found = _in_path(site, _BY_PATH.get(name, ())) or _in_query(site, _BY_QUERY.get(name, ()))
            if found is not None:
                return (found,)
    return tuple([Site(inside, site.path, site.query) for inside in hosts_in(site.host)])


def may_carry(host: str) -> bool:
    """Could a page of this host carry another site inside? False: `inner_sites` finds none, whatever the path and query."""
    return bool(_known(host) or hosts_in(host))


def _known(host: str) -> Sequence[str]:
    """The names under which a host may stand in the tables: itself and what lies above it, at most three."""
    if google := _GOOGLE(host):
        return ("translate.google.com", "google.com") if google[1] == "translate" else ("google.com",)
    names = [host]
    while len(names) < 4 and (dot := names[-1].find(".") + 1):
        names.append(names[-1][dot:])
    return [_SAME.get(name, name) for name in names if name in _BY_PATH or name in _BY_QUERY or name in _SAME]


def _in_path(site: Site, patterns: Iterable[re.Pattern[str]]) -> Site | None:
    path = (site.path or "") + ("?" + site.query if site.query else "")
    for pattern in patterns:
        if found := pattern.match(path):
            return _address(found["url"])
    return None


def _in_query(site: Site, places: Iterable[tuple[str, tuple[str, ...]]]) -> Site | None:
    if not site.query or len(site.query) > 4 * _LONGEST:
        return None
    path = site.path or "/"
    for start, names in places:
        if path.startswith(start):
            for key, value in parse_qsl(site.query, keep_blank_values=False):
                if key.lower() in names and (found := _address(_unpacked(value))):
                    return found
    return None


def _unpacked(value: str) -> str:
    """The address in a parameter: bare, after `cache:id:`, or in base64 as Bing writes it (`a1...`)."""
    if value.startswith("cache:"):
        rest = value.removeprefix("cache:")
        head, colon, tail = rest.partition(":")
        return (tail if colon and "." not in head and "/" not in head else rest).split("+")[0].split(" ")[0]
    if value.startswith("a1") and "." not in value and len(value) > 8:
        try:
            return base64.urlsafe_b64decode(value[2:] + "=" * (-len(value[2:]) % 4)).decode()
        except (binascii.Error, UnicodeError, ValueError):
            return value
    return value


def _address(text: str) -> Site | None:
    """A web address as carriers write it: perhaps encoded again, `https:/host`, `https/host`, or without a scheme."""
    text = text[:_LONGEST].strip()
    for _ in range(2):
        if "%" in text.partition("/")[0] or re.match(r"https?%3a", text, re.IGNORECASE):
            text = unquote(text)
    text = re.sub(r"^(https?|ftp)(?::/{0,2}|/)(?=[^/])", r"\1://", text, flags=re.IGNORECASE)
    return _read(text, None)


def _read(text: str, query: str | None) -> Site | None:
    try:
        site = canonical_site(text)
    except NameRefused:
        return None
    if "." not in site.host and not is_address(site.host):
        return None  # a word, not a name
    return site if query is None else Site(site.host, site.path, query)


# --- names that look like another ------------------------------------------------------------------------------------

_DIGIT: Final = re.compile("[" + "".join(DIGITS) + "]").search  # most names have none, and this runs for every question
_POSING: Final = re.compile(r"[^0-9]*[{0}][^0-9]*(?:[{0}][^0-9]*)?".format("".join(DIGITS))).fullmatch  # one or two
_SHORT: Final = 5  # letters: shorter names look like too many others


def imitated(host: str) -> str | None:
    """The name that this one looks like: letters of other scripts and digits read as the Latin letters they resemble.

    None for a name that looks only like itself, and for one in which some letter resembles no Latin one.
    """
    if "xn--" in host:
        seen = [_seen(label) for label in host.split(".")]
        if None in seen:
            return None
        found = ".".join([label or "" for label in seen])
        return found if found != host else None
    if not _DIGIT(host):
        return None
    name = _own_label(host)
    if len(name) < _SHORT or not _POSING(name) or not any(map(str.isalpha, name)):
        return None
    return host.replace(name, "".join([DIGITS.get(char, char) for char in name]), 1)


def _own_label(host: str) -> str:
    """The label that somebody chose when they registered the name, by a rule of thumb that needs no list."""
    last = host.rfind(".")
    second = host.rfind(".", 0, max(last, 0))
    if second >= 0 and last - second <= 4 and len(host) - last == 3:  # co.uk and its like
        return host[host.rfind(".", 0, second) + 1 : second]
    return host[second + 1 : last] if last >= 0 else host


def _seen(label: str) -> str | None:
    if not label.startswith("xn--"):
        return label
    try:
        spoken = label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError):
        return None
    read = "".join([char if char.isascii() else LETTERS.get(char, "\0") for char in spoken])
    return None if "\0" in read else read
