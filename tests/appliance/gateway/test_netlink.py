"""What is said to the kernel, in a namespace of its own: run as a program there, it prints what the kernel then has."""

import json
import re
import subprocess
import sys

from appliance.gateway.netlink import ROUTE, Element, Netlink, flow_of, key, neighbours
from appliance.gateway.ruleset import Ports, ruleset
from appliance.gateway.settings import read

PAIR = key(b"\x02\0\0\0\0\5", b"\x2d\x21\x20\1")


def test_the_kernel_has_what_was_said():
    ways = (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"])
    unshare = next(way for way in ways if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0)
    done = subprocess.run([*unshare, sys.executable, __file__], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert got["no rules"] == "FileNotFoundError"
    assert got["no such set"] == "FileNotFoundError"
    assert got["permits"] == 200, "one acknowledgement for them all"
    assert got["left"] == 199
    assert got["renewed"] > got["before"], "with the same time as it had, too"
    assert (got["forgotten"], got["alive"]) == (0, 1), "permits are forgotten, heartbeats are not"
    assert got["not there"] is False
    assert got["neighbours"] == {"10.9.9.9": "020000000009"}


def main() -> None:
    gone: dict[str, object] = {}
    kernel = Netlink()

    def trouble(what) -> str:
        try:
            what()
        except OSError as error:
            return type(error).__name__
        return ""

    def listed(name: str) -> list[str]:
        words = ["nft", "list", "set", "inet", "schoolgate", name]
        return re.findall(r"expires ([\dmsh]+)", subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    def left(name: str) -> int:
        """Milliseconds."""
        minutes, seconds, rest = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", listed(name)[0]).groups()
        return int(minutes or 0) * 60_000 + int(seconds or 0) * 1000 + int(rest or 0)

    gone["no rules"] = trouble(kernel.forget_permits)
    config = read(
        {"outside": "w", "admin": ["10.0.0.0/8"], "networks": {"a": {"interface": "l", "prefixes": ["10.0.0.0/8"]}}}
    )
    subprocess.run(["nft", "-f", "-"], input=ruleset(config, Ports((53, 0), (80, 0))), text=True, check=True)
    gone["no such set"] = trouble(lambda: kernel.write([Element("nothing", PAIR, 9)]))
    pairs = [key(b"\x02\0\0\0\0\5", bytes([45, 33, 32, each])) for each in range(200)]
    kernel.write([Element("direct_mac4", each, 600) for each in pairs])
    gone["permits"] = len(listed("direct_mac4"))
    kernel.write([Element("direct_mac4", pairs[0], 0), Element("direct_mac6", key(bytes(6), bytes(16)), 0)])
    gone["left"] = len(listed("direct_mac4"))
    kernel.write([Element("proxy_alive", b"\6", 60)])
    while (before := left("proxy_alive")) > 59_900:
        pass
    kernel.write([Element("proxy_alive", b"\6", 60)])
    gone["before"], gone["renewed"] = before, left("proxy_alive")
    kernel.forget_permits()
    gone["forgotten"], gone["alive"] = len(listed("direct_mac4")), len(listed("proxy_alive"))
    gone["not there"] = kernel.remark(flow_of(bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), (1, 2), 2), 0x22)
    for words in ("link add d0 type veth peer name d1", "link set d1 up", "link set d0 up", "addr add 10.9.9.1/24 dev d0",
                  "neigh add 10.9.9.9 lladdr 02:00:00:00:00:09 dev d0"):  # fmt: skip
        subprocess.run(["ip", *words.split()], check=True)
    gone["neighbours"] = {address: device.hex() for address, device in neighbours(Netlink(ROUTE)).items()}
    print(json.dumps(gone))


if __name__ == "__main__":
    main()
