"""The coverage page: what the gateway counted, and what the filter log says of attempts and apps."""

from collections import Counter

from monitoring import attempts
from monitoring.coverage import Tally
from policy.event import Kind

MAC = "02:00:00:00:00:05"


def refused(world, **said):
    return world.event(kind=Kind.CONNECTION, reason="error", host="", **said)


def test_an_empty_page(world):
    page = world.browser("tom").get("/coverage").text
    assert "Nothing has been counted" in page
    assert page.count("in this time.</p>") == 2


def test_shares_attempts_and_apps(world):
    now = world.clock.at.timestamp()
    tally = Tally(world.data / "gateway" / "coverage", now)
    for way, times in (("content", 3), ("name", 6), ("unresolved", 1)):
        for _ in range(times):
            tally.count(("oakfield", "pupils", MAC), way, now)
    tally.count(("oakfield", "pupils", MAC), "content", now, 3_000_000)
    tally.count(("oakfield", "pupils", MAC), "name", now, 1_000_000)
    tally.count(("hillview", "others", "10.9.9.9"), "name", now)
    tally.write()
    world.events(
        world.event(kind=Kind.DNS, host="nordvpn.com", detail="category; bypass:vpn (score 3)"),
        refused(world, outcome="reset", detail="bypass:wrong name", device=MAC),
        refused(world, outcome="protocol"),
        refused(world, outcome="port 25"),
        world.event(kind=Kind.DNS, host="a.example", detail="bypass:new name (score 0)", address="127.10.2.9"),
        world.event(kind=Kind.CONNECTION, host="app.example", outcome="no trust", action="allow", reason=""),
        refused(world, outcome="protocol", group="staff", address="127.10.9.1"),
    )
    page = world.browser("tom").get("/coverage").text
    for words in ("pupils", "60%", "30%", "10%", MAC, "app.example", "a connection that named another site 1×", ">13<"):
        assert words in page
    assert "75% of bytes" in page
    assert "4.0 MB" in page
    assert "No bytes are counted yet" not in page
    for words in ("others", "nordvpn", "127.10.9.1", "127.10.2.9"):
        assert words not in page, words
    assert "127.10.9.1" in world.browser("helen").get("/coverage").text, "what staff do is the headteacher's to see"


def test_a_device_is_one_by_mac_or_by_the_address_that_it_had(world):
    world.events(refused(world, outcome="protocol", device=MAC), refused(world, outcome="odd"), refused(world, outcome="odd"))
    since = world.clock.at.replace(hour=0)
    (one,) = attempts.attempts(world.log, "oakfield", since, world.clock.at)
    assert (one.device, one.address, one.score, one.kinds) == (MAC, "127.10.2.7", 7, Counter({"no web": 1, "odd": 2}))
