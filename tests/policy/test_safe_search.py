"""Where safe search is forced, and how."""

from dataclasses import replace

import pytest

from policy import search_engines
from policy.decide import Question, Reason, decide
from policy.rules import Action, Group, read, write
from policy.search_engines import Engines

from .conftest import LESSON

ENGINES = search_engines.load()


@pytest.mark.parametrize(("host", "level", "target"), [
    ("www.google.com", "strict", "forcesafesearch.google.com"),
    ("google.com", "strict", "forcesafesearch.google.com"),
    ("www.google.co.uk", "strict", "forcesafesearch.google.com"),
    ("google.de", "strict", "forcesafesearch.google.com"),
    ("www.google.com.au", "strict", "forcesafesearch.google.com"),
    ("images.google.fr", "strict", "forcesafesearch.google.com"),
    ("www.google.cat", "strict", "forcesafesearch.google.com"),
    ("mail.google.com", "strict", ""),
    ("docs.google.com", "strict", ""),
    ("forcesafesearch.google.com", "strict", ""),
    ("www.bing.com", "strict", "strict.bing.com"),
    ("bing.com", "strict", "strict.bing.com"),
    ("strict.bing.com", "strict", ""),
    ("duckduckgo.com", "strict", "safe.duckduckgo.com"),
    ("start.duckduckgo.com", "strict", "safe.duckduckgo.com"),
    ("icons.duckduckgo.com", "strict", ""),
    ("www.youtube.com", "strict", "restrict.youtube.com"),
    ("m.youtube.com", "moderate", "restrictmoderate.youtube.com"),
    ("youtubei.googleapis.com", "moderate", "restrictmoderate.youtube.com"),
    ("www.youtube-nocookie.com", "strict", "restrict.youtube.com"),
    ("restrict.youtube.com", "strict", ""),
    ("pixabay.com", "strict", "safesearch.pixabay.com"),
    ("www.ecosia.org", "strict", "strict-safe-search.ecosia.org"),
    ("search.brave.com", "strict", "forcesafe.search.brave.com"),
    ("yandex.ru", "strict", "familysearch.yandex.ru"),
    ("www.startpage.com", "strict", ""),
])  # fmt: skip
def test_where_dns_leads_an_engines_names(host, level, target):
    engine = ENGINES.find(host)
    assert engine.led(host, level) == target


@pytest.mark.parametrize(("host", "unforced"), [
    ("www.google.com", False), ("mail.google.com", False), ("html.duckduckgo.com", True), ("lite.duckduckgo.com", True),
    ("startpage.com", True), ("uk.search.yahoo.com", True), ("www.youtube.com", False), ("lite.qwant.com", True),
])  # fmt: skip
def test_where_dns_cannot_force_it(host, unforced):
    assert ENGINES.find(host).unforced(host) is unforced


def test_every_target_is_an_engines_own_and_is_left_alone():
    for engine in ENGINES.engines:
        for target in engine.dns.values():
            assert engine.led(target, "strict") == ""
            assert not engine.unforced(target)
            assert ENGINES.find(target) in (engine, None) or ENGINES.find(target).country


def test_the_table_survives_its_canonical_text():
    assert Engines.from_json(ENGINES.to_json()).engines == ENGINES.engines


def asked(host, group="ks3", **more):
    return Question("hillview", group, host, LESSON, **more)


def test_an_engine_that_dns_cannot_force_is_refused_where_only_dns_filters(snapshot):
    force = snapshot()
    assert decide(force, asked("uk.search.yahoo.com")).action is Action.RESTRICT
    found = decide(force, asked("uk.search.yahoo.com", path_follows=False))
    assert (found.action, found.reason) == (Action.BLOCK, Reason.SAFE_SEARCH)
    assert decide(force, asked("www.google.com", path_follows=False)).action is Action.RESTRICT
    assert decide(force, asked("uk.search.yahoo.com", "staff", path_follows=False)).action is Action.ALLOW


def test_a_table_signed_before_dns_could_force_anything_refuses_nothing(snapshot):
    force = snapshot()
    old = Engines(tuple(replace(each, dns={}, dns_hosts=(), dns_refused=()) for each in ENGINES.engines))
    named = force.authority.dictionary
    force = replace(force, dictionaries={named: replace(force.dictionaries[named], engines=old)}, _profiles={})
    assert decide(force, asked("www.google.com", path_follows=False)).action is Action.RESTRICT


@pytest.mark.parametrize(("group", "video", "search"), [
    (Group("g", "G", "ks3"), "strict", True),
    (Group("g", "G", "ks3", video="moderate"), "moderate", True),
    (Group("g", "G", "ks3", video="off"), "off", True),
    (Group("g", "G", "staff", safe_search=False), "off", False),
    (Group("g", "G", "staff", safe_search=False, video="moderate"), "moderate", False),
])  # fmt: skip
def test_a_group_says_how_video_sites_are_held(snapshot, group, video, search):
    force = snapshot()
    school = replace(force.schools["hillview"], groups=(group,))
    profile = replace(force, schools={"hillview": school}, _profiles={}).profile("hillview", "g")
    assert profile.video == video
    assert bool(profile.engine("www.youtube.com")) is (video != "off")
    assert bool(profile.engine("www.google.com")) is search
    assert profile.led("www.youtube.com") == {
        "strict": "restrict.youtube.com",
        "moderate": "restrictmoderate.youtube.com",
    }.get(video, "")


def test_a_group_that_says_nothing_of_video_is_written_as_before():
    assert "video" not in write(Group("ks3", "Years 7-9", "ks3"))
    assert read(Group, write(Group("ks3", "Years 7-9", "ks3", video="moderate"))).video == "moderate"
