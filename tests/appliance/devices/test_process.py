"""The process for devices over real sockets: RADIUS by UDP, a hook by its socket, lease files; and the register behind it."""

import asyncio
import json
import os
import socket
from dataclasses import asdict

from pyrad.packet import AcctPacket

from appliance.devices.process import Process, hook_path, serve
from appliance.devices.register import Taking
from appliance.devices.settings import DevicesConfig, RadiusClient
from change_control.guests import Code, codes_file, digest
from monitoring import devices
from monitoring.devices import Names, Wanted
from monitoring.log import Log
from policy.identity import Clients
from policy.presence import Presence
from policy.rules import Group, Network, SchoolPolicy

MAC = "00:11:22:aa:bb:cc"
SCHOOL = SchoolPolicy(
    "hill", "Hill", "a" * 64, "d" * 64, (Group("ks3", "Years 7-9", "ks3"),), (Network("n", "ks3", "10.1.0.0/16"),)
)


class Live:
    """The policy in force, which never changes."""

    def __init__(self):
        self.clients = Clients([SCHOOL])

    @property
    def snapshot(self):
        return self

    def refresh(self):
        return False


def start(ip):
    packet = AcctPacket(secret=b"a shared secret")
    for kind, value in ((1, b"kim"), (44, b"s1"), (40, (1).to_bytes(4)), (31, MAC.encode()), (8, socket.inet_aton(ip))):
        packet[kind] = [value]
    return packet.RequestPacket()


def test_what_comes_in_stands_in_the_table_and_in_the_register(tmp_path):
    (tmp_path / "secret").write_text("a shared secret\n")
    (tmp_path / "leases").write_text(f"0 {MAC} 10.1.0.5 laptop *\n")
    presence = Presence(tmp_path / "run" / "presence")

    async def until_known(address, **wanted):
        for _ in range(1000):
            presence.refresh(0.0)
            there = presence.at(address)
            if there and all(getattr(there, name) == value for name, value in wanted.items()):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{address} is {presence.at(address)}")

    async def whole():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            where = free.getsockname()
        client = RadiusClient("wifi", ("127.0.0.0/8",), str(tmp_path / "secret"))
        config = DevicesConfig(leases=(str(tmp_path / "leases"),), radius_listen=(where,), radius_clients=(client,))
        process, stop, ready = Process(config, tmp_path, Live(), Names(b"k" * 32)), asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(serve(process, config, tmp_path, ready.set, stop))
        await ready.wait()
        await until_known("10.1.0.5", seen_by="lease", signed_in="")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(where)
            sender.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sender, start("10.1.0.5"))
            assert (await asyncio.wait_for(loop.sock_recv(sender, 100), 10))[0] == 5
        await until_known("10.1.0.5", seen_by="lease", signed_in="radius", user="kim")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hook:
            hook.sendto(json.dumps({"act": "add", "mac": MAC, "address": "10.1.0.9"}).encode(), str(hook_path(tmp_path)))
        await until_known("10.1.0.9", signed_in="radius")
        stop.set()
        await serving

    asyncio.run(whole())
    assert not hook_path(tmp_path).exists()
    with Log(f"sqlite:///{tmp_path / 'log.sqlite3'}") as log:
        taking = Taking(tmp_path / "run" / "devices.json", log)
        assert taking.step() == 1
        assert taking.step() == 0, "the file has not changed"
        (one,) = devices.search(log, "hill", Wanted())
        assert (one.mac, one.told) == (MAC, "laptop")
    again = Process(DevicesConfig(leases=()), tmp_path, Live(), Names(b"k" * 32))
    assert [session.user for session in again.accounting.sessions.values()] == ["kim"], "a process that died knows them"
    again.close()


def test_codes_that_cannot_be_read_are_read_again_and_what_is_no_file_of_codes_holds_none(tmp_path, caplog):
    code = Code("c1", "hill", digest(b"", "hill", "ABCD2345"), "Ms Khan", "", 1, 0.0, 9e9)
    path = codes_file(tmp_path)
    path.parent.mkdir()
    path.mkdir()  # there, and not to be read
    process = Process(DevicesConfig(leases=()), tmp_path, Live(), Names(b"k" * 32))
    stat = path.stat()
    path.rmdir()
    path.write_text(json.dumps([asdict(code)]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    process.look_again()
    assert process.portal.guest("hill", "10.1.0.5", "", "abcd2345").said == "in"
    path.write_text("{")
    process.look_again()
    assert process.portal.sessions == {}
    assert "no code holds" in caplog.text
    process.close()
