"""Devices by neighbours and leases."""

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.gateway.devices import Device, Lease, devices, leases
from appliance.gateway.settings import read

CONFIG = read(
    {
        "outside": "w",
        "admin": ["10.0.0.0/8"],
        "networks": {
            "pupils": {"interface": "l", "prefixes": ["10.1.0.0/24", "fd00:1::/64"]},
            "staff": {"interface": "m", "prefixes": ["10.2.0.0/24"]},
        },
    }
)
DNSMASQ = """\
2000 00:11:22:33:44:55 10.1.0.5 tablet-7 01:00:11:22:33:44:55
900 00:11:22:33:44:66 10.1.0.6 gone *
0 AA:11:22:33:44:77 10.2.0.7 * *
duid 00:01:00:01
"""
KEA = """\
address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context
10.1.0.5,00:11:22:33:44:55,,4000,2000,1,0,0,tablet-7.school.local.,0,
10.1.0.6,00:11:22:33:44:66,,4000,2000,1,0,0,left,0,
10.1.0.6,00:11:22:33:44:66,,0,2000,1,0,0,left,0,
10.1.0.8,00:11:22:33:44:88,,4000,2000,1,0,0,declined,1,
nonsense,,,,,,,,,,
"""


def test_dnsmasqs_leases():
    assert leases(DNSMASQ, 1000) == [
        Lease("10.1.0.5", "00:11:22:33:44:55", "tablet-7"),
        Lease("10.2.0.7", "aa:11:22:33:44:77", ""),
    ]


def test_keas_leases():
    assert leases(KEA, 1000) == [Lease("10.1.0.5", "00:11:22:33:44:55", "tablet-7.school.local")]


def test_one_device_with_all_its_addresses():
    near = {
        "10.1.0.5": b"\0\x11\x22\x33\x44\x55",
        "fd00:1::5": b"\0\x11\x22\x33\x44\x55",
        "10.2.0.9": b"\x02\0\0\0\0\x09",
        "203.0.113.1": b"\0\0\0\0\0\1",
    }
    assert devices(CONFIG, near, leases(DNSMASQ, 1000)) == [
        Device("00:11:22:33:44:55", "tablet-7", "pupils", ("10.1.0.5", "fd00:1::5"), own=False, here=True),
        Device("02:00:00:00:00:09", "", "staff", ("10.2.0.9",), own=True, here=True),
        Device("aa:11:22:33:44:77", "", "staff", ("10.2.0.7",), own=True, here=False),
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text):
    leases(text, 1000)
    leases("address,hwaddr,expire\n" + text, 1000)
