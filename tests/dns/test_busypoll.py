"""The loop goes on looking while packets come closely, and sleeps otherwise."""

import pytest

from dns.busypoll import BusyPoll


class Loop:
    """A loop whose rounds take ten microseconds."""

    def __init__(self):
        self.now, self.due = 0.0, []

    def call_soon(self, callback):
        self.due.append(callback)

    def rounds(self, seconds):
        """How often something was due within that time."""
        end, found = self.now + seconds, 0
        while self.now < end:
            due, self.due = self.due, []
            for each in due:
                each()
            found += len(due)
            self.now += 1e-5
        return found


def coming(gap, packets=60, seconds=0.001):
    loop = Loop()
    busy = BusyPoll(loop, seconds, lambda: loop.now)
    for _ in range(packets):
        busy.came()
        loop.rounds(gap)
    return loop, busy


@pytest.mark.parametrize(("gap", "looks"), [(0.0002, True), (0.0008, True), (0.0015, False), (0.05, False)])
def test_only_what_comes_closely_is_looked_for(gap, looks):
    loop, busy = coming(gap)
    busy.came()
    assert (loop.rounds(0.0005) > 40) is looks


def test_it_ends_by_itself_and_begins_anew():
    loop, busy = coming(0.0002)
    assert loop.rounds(0.01) < 120, "a thousandth of a second, and no more"
    assert not loop.due
    for _ in range(60):
        busy.came()
        loop.rounds(0.0002)
    assert len(loop.due) == 1, "however many come, it looks once a round"


def test_one_pause_does_not_end_a_busy_time():
    loop, busy = coming(0.0002)
    loop.rounds(2)
    busy.came()
    assert loop.rounds(0.0005) > 40
