"""Ports that are left to us are chosen, and nobody else gets them before our processes listen."""

import socket
from contextlib import closing
from dataclasses import replace

import pytest

from appliance.config import load
from appliance.ports import Ports, PortTaken


@pytest.fixture
def config(tmp_path):
    found = load(None, tmp_path, demo=True)
    free = (("127.0.0.1", 0),)
    return replace(
        found,
        dns=replace(found.dns, listen=free, dot_listen=free, doh_listen=()),
        proxy=replace(found.proxy, listen=free),
        admin=replace(found.admin, listen=free),
        group_listeners=(("hillview:ks3", "127.0.0.1", 0),),
    )


def listening(port, *, shared):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind(("127.0.0.1", port))
        made.listen()
    except OSError:
        made.close()
        raise
    return made


def test_a_chosen_port_is_ours_alone_until_we_let_it_go(config):
    with closing(Ports()) as ports:
        settled = ports.settle(config)
        chosen = [settled.dns.listen, settled.dns.dot_listen, settled.proxy.listen, settled.admin.listen]
        numbers = [where[0][1] for where in chosen] + [settled.group_listeners[0][2]]
        assert len(set(numbers)) == 5
        assert all(numbers)
        for port in numbers:
            with pytest.raises(OSError, match="in use"):
                listening(port, shared=False)
            with listening(port, shared=True), socket.create_connection(("127.0.0.1", port), 5):
                pass  # our own processes share it, and what is held takes no connection from them
    for port in numbers:
        listening(port, shared=False).close()


def test_a_port_of_another_program_is_named_with_what_to_do(config):
    with socket.create_server(("127.0.0.1", 0)) as other, closing(Ports()) as ports:
        taken = replace(config, proxy=replace(config.proxy, listen=(other.getsockname(),)))
        with pytest.raises(PortTaken, match=r"set proxy\.listen or SCHOOLGATE_PROXY_LISTEN"):
            ports.settle(taken)
