"""Which of the things that lists say about a name are believed, when they contradict each other.

The theory. Public feeds are wrong about roughly two in a hundred of the sites that pupils need most: sexual-health clinics
stand on pornography lists, drug advice on drugs lists, phonics on games lists. The strictest category wins, so one wrong
line takes such a site away. Therefore what *our own, hand-checked* lists (the starter set, `starter-<category>`) say
counts for more than what a feed says:

1. A curated entry of a protective category (education, health, support ...) outweighs what feeds say about that site.
2. Unless the feed's entry is more specific: a feed that names `films.example.org` or `example.org/forum` knows something
   that our entry `example.org` does not speak about. That is what keeps pornography closed that is hosted below a good name.
3. Some suffixes are given out only to schools, universities, the health service and the state (`sch.uk`, `nhs.uk`). Names
   below those are protected as if each stood in our lists; single pages of them, and servers that a feed says follow
   visitors about, can still be closed by a feed.
4. What is only a weak word about a site (a tracker, a shortener) gives way to any curated entry as
   specific, protective or not: a tracker list that names `facebook.com` means its buttons on other pages.
5. A feed's entry whose own name says that it is help, not harm (`...rehab...` on a drugs list), needs no list of ours to be
   doubted: see `_SENSE`, one narrow pattern a category. So are the sites of charities and clubs (`name.org.uk`) on lists of
   games, shops, films and advertising, which mostly know them by a word in their name. Anybody may register there, so a
   name that says itself that it sells, plays or shows (`onlineslots.org.uk`) stays what the list says.

6. Between two of our own entries the more specific one speaks: `education.minecraft.net` is no game.
7. A list that somebody signed for as one that *vouches* (`vouching-...`) outweighs weak words of other lists about the sites
   that it names: a game, a tracker, a shop (`YIELDING`), and nothing that could do a child harm. A feed of schools and
   newspapers is wrong as well, so it may take away what was tidy to refuse, and never what was right to. So do names that
   ship with us and that nobody has visited (`starter-remembered-...`): a name that has lapsed can be bought by anybody.

Never outweighed: what the school itself says (a correction), the sealed categories, and malware (a school's site can be
broken into, and then it is dangerous). What is outweighed is not lost: `lists lookup` shows it, marked as set aside. Pure.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from category_lists.corrections import PREFIX as CORRECTIONS
from category_lists.corrections import is_correction
from category_lists.index import Match
from category_lists.names import path_covers

CURATED: Final = "starter-"  # the lists that ship with us; `lists import` refuses names that begin so
REMEMBERED: Final = "starter-remembered-"  # ... but these are not hand-checked
VOUCHING: Final = "vouching-"  # lists that also open sites; each waits for the headteacher's signature
# How no imported list and no feed may be called: such lists outweigh others.
GIVEN: Final = (CURATED, CORRECTIONS, VOUCHING)

# Categories that our own lists protect: all of them are open to Key Stage 3 by default.
PROTECTIVE: Final = frozenset(
    (
        "education", "finance_business", "government_law", "health", "infrastructure", "news", "religion_politics",
        "search_engines", "sex_education_health", "sports", "support_wellbeing",
    )
)  # fmt: skip
# Of these a list can vouch for sites. Not what is everybody's: platforms, search engines, money.
VOUCHED: Final = PROTECTIVE - {"finance_business", "infrastructure", "search_engines"}
YIELDING: Final = frozenset(  # what gives way to a list that vouches
    (
        "academic_cheating", "ads_trackers", "chat_webmail", "dynamic_dns_new", "entertainment", "file_sharing",
        "forums_blogs", "games", "shopping", "social_networks", "streaming_media", "url_shorteners",
    )
)  # fmt: skip
UNMOVED: Final = frozenset(("csam_illegal", "terrorism_illegal", "malware_phishing"))

WEAK: Final = frozenset(("ads_trackers", "url_shorteners"))
_OF_SERVERS: Final = WEAK | {"doh_dns_bypass"}  # what a single machine of a university may well be
_NEIGHBOURS: Final = frozenset((("games", "gambling"),))  # where we say the left of a site, a feed's right is noise

# Suffixes whose registry checks who asks. Names below them stand in the curated lists through the suffix alone.
_VETTED = """
ac.uk gov.uk judiciary.uk mod.uk nhs.uk nic.uk parliament.uk police.uk sch.uk nhs.scot nhs.wales gov.scot gov.wales
llyw.cymru hscni.net gov.ie edu gov mil int gc.ca gouv.fr admin.ch bund.de europa.eu gov.au edu.au ac.nz govt.nz
school.nz gov.im gov.gg gov.je sch.gg sch.je museum
ac.at ac.be ac.il ac.in ac.jp ac.kr ac.th ac.za edu.br edu.hk edu.in edu.it edu.mt edu.my edu.sg edu.tr edu.tw
gob.es gov.br gov.gr gov.hk gov.il gov.in gov.it gov.mt gov.pl gov.pt gov.ro gov.sg
gov.ua gov.za gv.at
"""
VETTED: Final = frozenset(_VETTED.split())

# What the name itself says. Narrow on purpose: measured on full feeds, a pattern must not open one harmful name in a
# thousand (benchmarks/accuracy.py). Words of help on a drugs list count only under endings that sellers seldom take.
_HELP_ENDS = (".org", ".uk", ".ie", ".ca", ".au", ".nz", ".scot", ".wales", ".cymru", ".edu", ".gov")
_HELP = (
    r"(?:rehab|recover[iy]|sobriety|harmreduction|needleexchange|anonymous|awareness"
    r"|addict(?:ion)?-?(?:help|support|advice|service|centre|center|treatment|care)"
    r"|(?:drug|alcohol|substance)s?-?(?:and-?\w+-?)?(?:advice|aware|education|help|support|treatment|policy|prevent))"
    rf".*(?:{'|'.join(map(re.escape, _HELP_ENDS))})$"
)
_BODY = (
    r"sexual-?health|rape-?crisis|sexual-?(?:assault|abuse|violence)|breast-?(?:cancer|feed)|asexuality"
    r"|prostate-?cancer|cervical-?cancer|testicular-?cancer|endometriosis|contracepti|abortion-?(?:advice|care|rights|support)"
    r"|domestic-?(?:abuse|violence)|womens-?aid|survivors?-?(?:network|support|trust)|pflag"
    r"|lgbt\w{0,3}-?(?:alliance|cent(?:er|re)|foundation|health|history|network|support|trust|youth)"
)
_HELPED = ("drugs_substance", "alcohol_tobacco_vaping")  # where words of help count, besides the words of their own
_WORDS_OF: Final = {
    "alcohol_tobacco_vaping": r"quit-?smok|stop-?smok|smoke-?free",
    "gambling": (
        r"gambl\w*-?(?:help|aware|care|anonymous|support|therapy|with-?lives|harm|clinic|stigma)"
        r"|problem-?gambl|stop-?gambl|tackling-?gambl"
    ),
    "pornography": _BODY,
    "adult_mixed": _BODY,
    "games": (
        r"phonics|times-?tables|spelling|literacy|numeracy|preschool|multiplication|kindergarten|geograph"
        r"|(?<!cool)(?<!cool-)math(?:s|ematic|-?games)|educational|education-?quiz|typing-?(?:club|games?|practice)"
        r"|learning-?games|to-?learn|esl-?games"
        r"|playhouse|playgroup|playwork|playscheme|play-?therap|chess-?(?:club|association|federation)|bridge-?club"
    ),
}
# Charities and clubs register there, and what follows visitors about is a name below theirs, not theirs. Everybody else may
# register there as well: who calls himself what the list says is no club.
_CLUBS: Final = ".org.uk"
_NO_CLUB: Final = re.compile(
    r"slots?(?!h)|casino|poker|bingo|roulette|jackpot|betting|gambl|spins|lott(?:o|ery)|(?<!board)(?<!board-)gam(?:es?|ing|er)"
    r"|arcade|unblock|prox(?:y|ies)|vpn|cheats?|hack(?:s(?!pace)|ing|ed)|mods?(?![a-z])|minecraft|roblox|fortnite|pokemon"
    r"|movies?|tube|torrent|putlocker|pirate|123|iptv|livetv|stream(?:s|ing|east)|episodes?|anime|manga"
    r"|(?<!bi)(?<!work)shop|(?<!re)store(?!y)|cheap|discount|voucher|outlet|vape|replica"
    r"|ads?-?(?:serv|network|click)|track(?:er|ing)|analytics|pixel|clicks|porn|sexy?(?![a-z])|xxx|escort"
).search
_OF_CLUBS: Final = frozenset(("ads_trackers", "games", "shopping", "streaming_media"))
_SENSE: Final = {category: re.compile(words).search for category, words in _WORDS_OF.items()} | {
    category: re.compile("|".join(filter(None, (_HELP, _WORDS_OF.get(category))))).search for category in _HELPED
}
# For each blocked question: words of help apart, since few names end as they ask, and the others in one flat row, since `re`
# passes over letters that none of them begins with only then.
_HELPS: Final = re.compile(_HELP).search
_OTHER_SENSE: Final = re.compile("|".join(dict.fromkeys(_WORDS_OF.values()))).search
_VETTED_ENDS: Final = frozenset(name.rpartition(".")[2] for name in VETTED)


def curated(list_id: str) -> bool:
    return list_id.startswith(CURATED) and not list_id.startswith(REMEMBERED)


def vouching(name: str, longest: int = 64) -> str:
    """What a list is called as one that vouches; two long names that begin alike stay two."""
    whole = f"{VOUCHING}{name}"
    return whole if len(whole) <= longest else f"{whole[: longest - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def vouches(list_id: str) -> bool:
    return list_id.startswith((VOUCHING, REMEMBERED))


def vetted(host: str) -> bool:
    """Whether a canonical host lies below a suffix that is given out only to schools, health and state."""
    while dot := host.find(".") + 1:
        host = host[dot:]
        if host in VETTED:
            return True
    return False


def doubted(host: str) -> bool:
    """Whether the letters of a name may outweigh what lists say of it, so that names on the same list fare differently."""
    if (host.rpartition(".")[2] in _VETTED_ENDS and vetted(host)) or _OTHER_SENSE(host) or host.endswith(_CLUBS):
        return True
    return host.endswith(_HELP_ENDS) and _HELPS(host) is not None


def _club(host: str) -> bool:
    """Whether a name is the own one of a charity or club; what lists say of it is so of all names below it."""
    return host.endswith(_CLUBS) and host.count(".") == 2 and not _NO_CLUB(host)


def weigh(matches: Sequence[Match], host: str) -> Sequence[Match]:
    """The matches that count, in the order they came. Nearly every call returns what it was given."""
    if not matches:
        return matches
    if len(matches) == 1 and (matches[0].category in PROTECTIVE or curated(matches[0].list_id)):
        return matches
    guards = [match for match in matches if curated(match.list_id)]
    vouchers = [match for match in matches if vouches(match.list_id) and match.category in VOUCHED]
    below = vetted(host)
    kept = [match for match in matches if not _outweighed(match, guards, vouchers, below=below)]
    return matches if len(kept) == len(matches) else tuple(kept)


def set_aside(matches: Sequence[Match], host: str) -> frozenset[Match]:
    """The matches that do not count, for those who ask why."""
    return frozenset(matches) - frozenset(weigh(matches, host))


def _outweighed(match: Match, guards: Iterable[Match], vouchers: Iterable[Match], *, below: bool) -> bool:
    if match.category in PROTECTIVE or match.category in UNMOVED or is_correction(match.list_id):
        return False
    if curated(match.list_id):
        return any(guard.category in PROTECTIVE and _inside(guard, match) for guard in guards)
    if below and not match.path and match.category not in _OF_SERVERS:
        return True
    if any(_outranks(guard.category, match.category) and _as_specific(guard, match) for guard in guards):
        return True
    if match.category in YIELDING and any(_as_specific(voucher, match) for voucher in vouchers):
        return True
    if match.category in _OF_CLUBS and not match.path and _club(match.host):
        return True
    sense = _SENSE.get(match.category)
    return sense is not None and sense(match.host) is not None


def _outranks(ours: str, theirs: str) -> bool:
    return ours in PROTECTIVE or theirs in WEAK or (ours, theirs) in _NEIGHBOURS


def _inside(guard: Match, match: Match) -> bool:
    """Whether our entry speaks about a part of what the other speaks about."""
    if guard.host == match.host:
        return guard.path != match.path and path_covers(match.path, guard.path)
    return guard.host.endswith("." + match.host)


def _as_specific(guard: Match, match: Match) -> bool:
    """Whether our entry speaks about the same as the feed's, or about a part of it."""
    return (guard.host, guard.path) == (match.host, match.path) or _inside(guard, match)
