"""Processes come from the nursery, are the supervisor's children, and outlive it."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from appliance.nursery import Nursery


def test_a_process_ends_with_its_own_code_and_comes_again_when_the_nursery_was_killed():
    async def story() -> None:
        before, nursery = children(), Nursery()
        try:
            first, ours = await hatch(nursery)
            assert name(first.pid) == "schoolgate:test"
            assert parent(first.pid) == os.getpid()
            [mother] = children() - before - {first.pid}
            os.kill(mother, signal.SIGKILL)
            second, other = await hatch(nursery)  # from a new one
            assert parent(first.pid) == os.getpid(), "what it had started lives on"
            second.send(signal.SIGKILL)
            assert await asyncio.wait_for(second.wait(), 10) == -signal.SIGKILL
            second.send(signal.SIGKILL)  # has ended: nothing
            ours.close()  # its input ends before it was told anything
            assert await asyncio.wait_for(first.wait(), 10) == 1
            other.close()
        finally:
            await nursery.close()
        assert children() <= before

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("begun", [False, True])
def test_nobody_waits_for_a_nursery_that_is_stopped_while_it_loads(begun):
    async def story() -> None:
        nursery = Nursery()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            waiting = [asyncio.create_task(nursery.hatch("dns", "test", theirs.fileno())) for _ in range(2)]
            while (nursery._process is None) is begun or not nursery._turn.locked():  # noqa: ASYNC110 - nothing else waits for it
                await asyncio.sleep(0)
            await nursery.close()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(each, ConnectionError) for each in ended] == [True, True]

    asyncio.run(asyncio.wait_for(story(), 60))


async def hatch(nursery):
    ours, theirs = socket.socketpair()
    with theirs:
        return await nursery.hatch("dns", "test", theirs.fileno()), ours


def name(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def children():
    """Of this process."""
    return {int(each) for each in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()}
