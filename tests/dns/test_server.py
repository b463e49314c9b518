"""The resolver over real sockets."""

import socket
import threading
import time

import dnslib
import pytest


def test_blocked_by_group(running, make_live, upstream):
    upstream.zone["bet.example", "A"] = "bet.example. 300 IN A 203.0.113.9"
    with running(make_live(), upstream.address) as server:
        assert [str(rr.rdata) for rr in server.ask("www.bet.example").rr] == ["127.0.0.1"]
        assert upstream.asked == []
        assert server.ask("bet.example", source="127.20.9.5").header.rcode in (0, 3)
