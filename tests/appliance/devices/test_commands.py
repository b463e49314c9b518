"""`schoolgate devices`: the register on the command line, and the hooks of DHCP servers."""

import argparse
import json
import socket

import pytest

from appliance.__main__ import main
from appliance.commands.devices import _told, tell_lease
from appliance.devices.process import hook_path

MAC = "00:11:22:aa:bb:cc"
ADD = {"act": "add", "mac": MAC, "address": "10.1.0.5", "name": "laptop"}


def words(tmp_path, event, *more):
    given = dict(zip(("mac", "address", "name"), (*more, "", "", ""), strict=False))
    return argparse.Namespace(event=event, data=tmp_path, **given)


@pytest.mark.parametrize(
    ("given", "environ", "said"),
    [
        (("add", MAC, "10.1.0.5", "laptop"), {}, [ADD]),
        (("old", MAC, "10.1.0.5", "laptop"), {}, [ADD]),
        (("del", MAC, "10.1.0.5"), {}, [{**ADD, "act": "del", "name": ""}]),
        (
            ("leases4_committed",),
            {"LEASES4_SIZE": "1", "LEASES4_AT0_HWADDR": MAC, "LEASES4_AT0_ADDRESS": "10.1.0.5", "LEASES4_AT0_HOSTNAME": "laptop."},
            [ADD],
        ),
        (
            ("leases6_committed",),  # as Kea 2.2 says it when a client has given its address back
            {"LEASES6_SIZE": "0", "DELETED_LEASES6_SIZE": "1", "DELETED_LEASES6_AT0_HWADDR": MAC, "DELETED_LEASES6_AT0_ADDRESS": "fd00:1::50"},
            [{"act": "del", "mac": MAC, "address": "fd00:1::50", "name": ""}],
        ),
        (("lease4_renew",), {"LEASE4_HWADDR": MAC, "LEASE4_ADDRESS": "10.1.0.5", "LEASE4_HOSTNAME": "laptop"}, [ADD]),
        (("lease4_expire",), {"LEASE4_HWADDR": MAC, "LEASE4_ADDRESS": "10.1.0.5"}, [{**ADD, "act": "del", "name": ""}]),
        (("leases6_committed",), {"LEASES6_SIZE": "0"}, []),
        (("init",), {}, []),
    ],
)  # fmt: skip
def test_what_dhcp_servers_call_it_with(tmp_path, given, environ, said):
    assert _told(words(tmp_path, *given), environ) == said


def test_a_hook_reaches_the_process_and_never_fails(tmp_path, capsys):
    assert tell_lease(words(tmp_path, "add", MAC, "10.1.0.5", "laptop")) == 0
    assert "does not listen" in capsys.readouterr().err
    hook_path(tmp_path).parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(hook_path(tmp_path)))
        sock.settimeout(5)
        assert tell_lease(words(tmp_path, "add", MAC, "10.1.0.5", "laptop")) == 0
        assert json.loads(sock.recv(1000)) == ADD


def test_words_that_make_no_sense(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["devices"])
    assert "schoolgate:" in capsys.readouterr().err
