"""What a gateway counts: by day, in a file that outlives the process."""

from monitoring.coverage import KEPT_DAYS, MOST, OTHERS, Tally, seen

DAY = 86_400.0
NOW = 1_790_000_000.0
PUPIL = ("oakfield", "pupils", "02:00:00:00:00:05")


def test_counts_go_on_after_a_restart(tmp_path):
    for _ in range(2):
        tally = Tally(tmp_path, NOW)
        tally.count(PUPIL, "name", NOW)
        tally.write()
    network, device = seen(tmp_path, NOW, 1)
    assert (network.network, network.device, network.total, device.percent("name")) == ("pupils", "", 2, 100)


def test_days_are_apart_and_old_ones_go(tmp_path):
    tally = Tally(tmp_path, NOW)
    for day in range(KEPT_DAYS + 3):
        tally.count(PUPIL, "content", NOW + day * DAY)
    tally.write()
    last = NOW + (KEPT_DAYS + 2) * DAY
    assert len(list(tmp_path.glob("*.json"))) == KEPT_DAYS
    assert [seen(tmp_path, last, days)[0].total for days in (1, 3, 30)] == [1, 3, KEPT_DAYS]


def test_another_schools_are_not_told(tmp_path):
    tally = Tally(tmp_path, NOW)
    tally.count(PUPIL, "name", NOW)
    tally.write()
    assert seen(tmp_path, NOW, 1, {"hillview"}) == []


def test_a_flood_of_devices_is_counted_together(tmp_path):
    tally = Tally(tmp_path, NOW)
    for number in range(MOST + 5):
        tally.count(("s", "n", str(number)), "refused", NOW)
    tally.write()
    found = {one.device: one.total for one in seen(tmp_path, NOW, 1)}
    assert (found[""], found[OTHERS]) == (MOST + 5, 5)


def test_a_torn_file_is_begun_again(tmp_path):
    Tally(tmp_path, NOW).count(PUPIL, "name", NOW)
    for text in ("", "{", "[[1, 2]]", '[["a", "b", "c", {"name": "x"}]]'):
        (path,) = [tmp_path / "2026-09-21.json"]
        path.write_text(text)
        assert seen(tmp_path, NOW, 1) == []
