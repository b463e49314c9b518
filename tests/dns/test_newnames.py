"""Newly seen names: learnt for a day, then told of once, over the ends of workers."""

from dns.newnames import LEARNS_S, NewNames


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


def test_in_its_first_day_it_learns_and_then_it_tells(tmp_path):
    clock = Clock()
    one = NewNames(tmp_path, "dns-1", clock)
    assert [one.noticed(name) for name in ("a.example", "www.a.example", "b.example")] == [False] * 3
    assert one.count == 2
    one.save()
    clock.now += LEARNS_S
    two = NewNames(tmp_path, "dns-2", clock)  # it starts later, and knows what the other had written down
    told = [two.noticed(name) for name in ("cdn.b.example", "a.example", "fresh.example", "x.fresh.example")]
    assert told == [False, False, True, False]
    two.save()
    three = NewNames(tmp_path, "dns-1", clock)
    assert not three.noticed("fresh.example")
    assert three.noticed("other.co.uk")
    assert three.noticed("another.co.uk")  # other people's


def test_a_file_that_is_too_long_begins_again(tmp_path):
    clock = Clock()
    file = tmp_path / "dns-1.names"
    file.write_bytes(bytes(8) + bytes(8) * 500_000)
    one = NewNames(tmp_path, "dns-1", clock)
    assert one.noticed("a.example")
    one.save()
    assert file.stat().st_size == 24
    assert not NewNames(tmp_path, "dns-1", clock).noticed("a.example")


def test_without_a_folder_or_with_a_broken_file_it_goes_on(tmp_path):
    assert not NewNames(None, "", Clock()).noticed("a.example")
    (tmp_path / "dns-1.names").write_bytes(b"abc")
    one = NewNames(tmp_path, "dns-1", Clock())
    assert not one.noticed("a.example")
    one.save()
    assert not NewNames(tmp_path, "dns-1", Clock()).noticed("a.example")
    away = NewNames(tmp_path / "dns-1.names" / "x", "dns-1", Clock())
    away.noticed("a.example")
    away.save()


def test_the_event_of_a_newly_seen_name_says_so(make_live, upstream, running, tmp_path):
    (tmp_path / "dns-0.names").write_bytes(bytes(8))  # a memory that began long ago
    upstream.zone["fresh.example", "A"] = "fresh.example. 300 IN A 203.0.113.7"
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.8"
    with running(make_live(), upstream.address, names_folder=str(tmp_path)) as server:
        for name in ("fresh.example", "news.example", "fresh.example"):
            server.ask(name, source="127.20.9.5")
        assert [event.detail for event in server.events] == ["A; bypass:new name (score 0)", "A", "A"]
