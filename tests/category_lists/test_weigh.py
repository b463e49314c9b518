"""Which list is believed: our own protective entries above feeds, unless the feed knows something more specific."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from category_lists.index import Match
from category_lists.lists import starter
from category_lists.taxonomy import load
from category_lists.weigh import _SENSE, PROTECTIVE, UNMOVED, WEAK, curated, doubted, set_aside, vetted, vouches, weigh
from category_lists.weigh import vouching as called


def ours(category, host, path=""):
    return Match(category, f"starter-{category}", "1", host, path)


def feed(category, host, path=""):
    return Match(category, f"feed-{category}", "1", host, path)


def vouching(category, host, path=""):
    return Match(category, f"vouching-{category}", "1", host, path)


@pytest.mark.parametrize(
    ("host", "said", "left"),
    [
        ("nasa.gov", [ours("education", "nasa.gov"), feed("piracy", "nasa.gov")], ["education"]),
        ("www.brook.org.uk", [ours("sex_education_health", "brook.org.uk"), feed("pornography", "brook.org.uk")], ["sex_education_health"]),
        # the feed's entry is wider than ours
        ("edu.maker.example", [ours("education", "edu.maker.example"), feed("games", "maker.example")], ["education"]),
        # the feed knows something more specific: a site or a page below a good name
        ("films.lib.example", [ours("education", "lib.example"), feed("pornography", "films.lib.example")], ["education", "pornography"]),
        ("lib.example", [ours("education", "lib.example"), feed("pornography", "lib.example", "/x")], ["education", "pornography"]),
        # never outweighed
        ("lib.example", [ours("education", "lib.example"), feed("malware_phishing", "lib.example")], ["education", "malware_phishing"]),
        ("lib.example", [ours("education", "lib.example"), feed("csam_illegal", "lib.example")], ["education", "csam_illegal"]),
        # a feed that calls something education protects nothing
        ("porn.example", [feed("education", "porn.example"), feed("pornography", "porn.example")], ["education", "pornography"]),
        # a list that was signed for as one that vouches outweighs weak words, as specific as its own, and nothing else
        ("paper.example", [vouching("news", "paper.example"), feed("ads_trackers", "paper.example")], ["news"]),
        ("maths.example", [vouching("education", "maths.example"), feed("games", "maths.example")], ["education"]),
        ("class.host.example", [vouching("education", "class.host.example"), feed("dynamic_dns_new", "host.example")], ["education"]),
        ("ads.paper.example", [vouching("news", "paper.example"), feed("ads_trackers", "ads.paper.example")], ["news", "ads_trackers"]),
        ("paper.example", [vouching("news", "paper.example"), feed("games", "paper.example", "/play")], ["news", "games"]),
        *(
            ("paper.example", [vouching("news", "paper.example"), feed(category, "paper.example")], ["news", category])
            for category in ("malware_phishing", "pornography", "gambling", "drugs_substance", "proxy_vpn", "csam_illegal")
        ),
        ("toys.example", [vouching("shopping", "toys.example"), feed("games", "toys.example")], ["shopping", "games"]),
        ("pogo.com", [vouching("education", "pogo.com"), ours("games", "pogo.com")], ["education", "games"]),
        # suffixes that are given out only to schools and the state
        ("essex.ac.uk", [feed("pornography", "essex.ac.uk")], []),
        ("www.oak.kent.sch.uk", [feed("games", "oak.kent.sch.uk")], []),
        ("sch.uk", [feed("games", "sch.uk")], ["games"]),
        ("essex.ac.uk", [feed("pornography", "essex.ac.uk", "/~hacked")], ["pornography"]),
        ("stats.uni.ac.uk", [feed("ads_trackers", "stats.uni.ac.uk")], ["ads_trackers"]),
        ("uni.ac.uk", [feed("malware_phishing", "uni.ac.uk")], ["malware_phishing"]),
        # weak words give way to any of our entries; other words do not
        ("facebook.com", [ours("social_networks", "facebook.com"), feed("ads_trackers", "facebook.com")], ["social_networks"]),
        ("facebook.com", [ours("social_networks", "facebook.com"), feed("dating", "facebook.com")], ["social_networks", "dating"]),
        ("pogo.com", [ours("games", "pogo.com"), feed("gambling", "pogo.com")], ["games"]),
        # between our own entries the more specific speaks
        ("education.minecraft.net", [ours("education", "education.minecraft.net"), ours("games", "minecraft.net")], ["education"]),
        ("both.example", [ours("education", "both.example"), ours("games", "both.example")], ["education", "games"]),
        # the name itself says that it is help
        ("kids-math-games.example", [feed("games", "kids-math-games.example")], []),
        ("coolmathgamesx.example", [feed("games", "coolmathgamesx.example")], ["games"]),
        ("www.u-tokyo.ac.jp", [feed("proxy_vpn", "u-tokyo.ac.jp")], []),
        ("northlgbtyouth.example", [feed("pornography", "northlgbtyouth.example")], []),
        ("lgbtporn.example", [feed("pornography", "lgbtporn.example")], ["pornography"]),
        ("leedssexualhealth.com", [feed("pornography", "leedssexualhealth.com")], []),
        ("midlandsgamblingclinic.org", [feed("gambling", "midlandsgamblingclinic.org")], []),
        ("northdrugadvice.org.uk", [feed("drugs_substance", "northdrugadvice.org.uk")], []),
        ("drugs-support-24.com", [feed("drugs_substance", "drugs-support-24.com")], ["drugs_substance"]),
        ("sexy-history.example", [feed("pornography", "sexy-history.example")], ["pornography"]),
    ],
)  # fmt: skip
def test_who_is_believed(host, said, left):
    assert [match.category for match in weigh(said, host)] == left
    assert {match.category for match in set_aside(said, host)} == {m.category for m in said} - set(left)


CATEGORIES = sorted(load().categories)
MATCHES = st.lists(
    st.builds(
        Match,
        st.sampled_from(CATEGORIES),
        st.sampled_from(["starter-x", "feed-x", "feed-y"]),
        st.just("1"),
        st.sampled_from(["a.example", "b.a.example", "c.ac.uk", "rehab.org.uk"]),
        st.sampled_from(["", "/p", "/p/q"]),
    ),
    max_size=6,
)


@given(MATCHES)
def test_weighing_only_takes_away_and_never_what_is_grave_or_protective(matches):
    host = max((match.host for match in matches), key=len, default="a.example")
    left = weigh(matches, host)
    assert [match for match in matches if match in left] == list(left)
    for match in set(matches) - set(left):
        assert match.category not in PROTECTIVE
        assert match.category not in UNMOVED
    assert list(weigh(left, host)) == list(left)


def test_the_sets_are_of_the_taxonomy_and_what_is_protected_is_open():
    categories = load().categories
    assert set(categories) >= PROTECTIVE | UNMOVED | WEAK
    assert all(categories[one].phases["ks3"] == "allow" for one in PROTECTIVE)
    assert not PROTECTIVE & (UNMOVED | WEAK)
    assert not any(map(vetted, ("gov.uk.example", "ac.uk", "edu", "notnhs.uk")))


def test_our_own_lists_do_not_contradict_themselves():
    """A site cannot be both a lesson and a danger in lists that the same people wrote."""
    categories = load().categories
    said: dict[str, set[str]] = {}
    for version, path in starter():
        assert curated(version.id) is not vouches(version.id)
        for line in path.read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                said.setdefault(line.split()[0], set()).add(version.category)
    wrong = {
        name: kinds
        for name, kinds in said.items()
        if kinds & PROTECTIVE and any(categories[kind].phases["ks3"] == "block" for kind in kinds)
    }
    assert wrong == {}
    assert len(said) > 5000


words = st.sampled_from(
    ["drug", "alcohol", "help", "advice", "support", "rehab", "recovery", "addiction", "gambl", "gambling", "anonymous", "breast",
     "cancer", "phonics", "times", "tables", "sexual", "health", "smoke", "free", "and", "s", "b", "bet", "news"]
)  # fmt: skip
names = st.lists(st.lists(words, min_size=1, max_size=4).flatmap(lambda parts: st.sampled_from(["", "-"]).map(lambda by: by.join(parts))),
                 min_size=1, max_size=3).map(".".join)  # fmt: skip
ends = st.sampled_from([".example", ".org", ".org.uk", ".gov", ".nhs.uk", ".com", ".cymru", ""])


@given(names, ends)
def test_a_name_whose_letters_may_count_is_doubted(name, end):
    host = name + end
    assert doubted(host) == (vetted(host) or end == ".org.uk" or any(sense(host) for sense in _SENSE.values()))


@pytest.mark.parametrize(
    ("category", "host", "counts"),
    [
        ("games", "leedsplayhouse.org.uk", False),
        ("ads_trackers", "carers.org.uk", False),
        ("ads_trackers", "metrics.carers.org.uk", True),
        ("games", "town-playhouse.example", False),
        ("pornography", "anything.org.uk", True),
        ("gambling", "anything.org.uk", True),
        ("games", "arcade.co.uk", True),
        ("games", "onlineslots.org.uk", True),  # anybody may register there
        ("games", "unblocked-76.org.uk", True),
        ("games", "halesowenboardgamers.org.uk", False),
        ("shopping", "trainers-outlet.org.uk", True),
        ("shopping", "bishopsworkshop.org.uk", False),
        ("streaming_media", "freemovies.org.uk", True),
        ("streaming_media", "neighbourhoodwatch.org.uk", False),
        ("ads_trackers", "adserver7.org.uk", True),
    ],
)
def test_a_clubs_own_site_is_no_game_and_no_tracker(category, host, counts):
    assert bool(weigh([feed(category, host)], host)) is counts


def remembered(host, path=""):
    return Match("education", "starter-remembered-education", "1", host, path)


@pytest.mark.parametrize(
    ("category", "counts"),
    [
        ("games", False),
        ("ads_trackers", False),
        ("shopping", False),
        ("gambling", True),
        ("pornography", True),
        ("malware_phishing", True),
    ],
)
def test_a_site_that_nobody_visited_opens_what_is_no_harm_alone(category, counts):
    matches = [feed(category, "museum.example"), remembered("museum.example")]
    assert (matches[0] in weigh(matches, "museum.example")) is counts


def test_a_page_of_a_clubs_site_can_be_a_game():
    page = Match("games", "ut1-games", "1", "scouts.org.uk", "/arcade")
    assert weigh([page], "scouts.org.uk") == [page]


@pytest.mark.parametrize(("host", "category"), [("maths-arcade.example", "games"), ("games.oak.sch.uk", "games")])
def test_what_the_school_itself_says_is_outweighed_by_nothing(host, category):
    said = Match(category, "corrections-oakfield-games", "1", host, "")
    assert weigh([feed(category, host)], host) == ()
    assert weigh([said, vouching("education", host)], host)[0] is said


def test_two_long_names_stay_two_as_lists_that_vouch():
    one, other = (called(f"{'a' * 60}-{end}") for end in "xy")
    assert one != other
    assert len(one) == len(other) == 64
    assert vouches(one)
    assert called("papers") == "vouching-papers"
