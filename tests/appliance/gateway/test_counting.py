"""Bytes of connections that have ended: what the kernel tells, and to whom and which way they are counted."""

import struct

import pytest

from appliance.gateway.counting import Counting, way_of
from appliance.gateway.netlink import _attribute, ended, flow_of
from appliance.gateway.ruleset import DIRECT, GREETED, PASSED, PROXIED, REFUSED, REVOKED, STOPPED
from appliance.gateway.steer import Near
from monitoring.coverage import Tally, seen

from .test_steer import CONFIG, DEVICE, PUPIL, Live

SOURCE, SITE, STANDS = bytes([127, 20, 3, 5]), bytes([45, 33, 32, 1]), bytes([198, 18, 0, 7])


def message(mark: int, *bytes_: int, kind: int = (1 << 8) | 2, to: bytes = SITE) -> bytes:
    """As the kernel tells that a connection has ended."""
    flow = flow_of(SOURCE, to, (4000, 443), mark)
    body = struct.pack("=BBH", flow.family, 0, 0) + _attribute(1, flow.tuple) + _attribute(8, struct.pack("!I", mark))
    for place, size in enumerate(bytes_):
        body += _attribute(9 + place, _attribute(1, (9).to_bytes(8)) + _attribute(2, size.to_bytes(8)))
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_what_the_kernel_tells():
    said = message(GREETED, 1000, 24) + message(0, 5, 5) + message(PASSED) + message(DIRECT, 7, kind=(1 << 8) | 1)
    assert [(flow.source, flow.to, flow.mark, size) for flow, size in ended(said)] == [
        (PUPIL, "45.33.32.1", GREETED, 1024),
        (PUPIL, "45.33.32.1", PASSED, 0),
    ]
    assert list(ended(said[:20])) == list(ended(b"")) == []


@pytest.mark.parametrize(
    ("mark", "to", "way"),
    [
        (GREETED, SITE, "name"),
        (REVOKED, SITE, "name"),
        (STOPPED, SITE, "forwarded"),
        (0xAB00 | DIRECT, SITE, "name"),
        (PASSED, SITE, "forwarded"),
        (PROXIED, STANDS, "content"),
        (PROXIED, SITE, "unresolved"),
        (REFUSED, SITE, ""),
    ],
)
def test_which_way(mark, to, way):
    assert way_of(flow_of(SOURCE, to, (4000, 443), mark)) == way


def test_they_are_counted_where_its_beginning_was(make_snapshot, at, tmp_path):
    tally = Tally(tmp_path, at)
    counting = Counting(Live(make_snapshot()), Near(CONFIG, lambda: {PUPIL: DEVICE}), tally)
    for mark, size in ((GREETED, 300), (PASSED, 100), (PASSED, 0), (REFUSED, 9)):
        counting.over(flow_of(SOURCE, SITE, (4000, 443), mark), size, at)
    tally.write()
    network, device = seen(tmp_path, at, 1)
    assert (network.network, network.size, device.device, device.total) == ("a", 400, "02:00:00:00:00:05", 0)
    assert (network.percent_of_bytes("name"), network.percent_of_bytes("forwarded")) == (75, 25)
