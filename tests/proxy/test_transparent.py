"""Behind an nftables redirect, in a network namespace of its own: devices that know of no proxy.

Run as a program, inside the namespace, it is the box, its internet and the device, and prints what the device got.
"""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__)
RULES = """
table inet gate {
  chain out {
    type nat hook output priority -100;
    ip daddr 203.0.113.0/24 tcp dport { 80, 443 } redirect to :9000
    ip6 daddr 2001:db8::/32 tcp dport { 80, 443 } redirect to :9001
  }
}
"""


def test_a_device_that_knows_of_no_proxy(internet):
    ways = (["unshare", "--map-root-user", "--net"], ["unshare", "--net"])  # root needs no user namespace of its own
    unshare = next(way for way in ways if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0)
    command = [*unshare, sys.executable, str(HERE), str(internet.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout.splitlines()[-1])
    for version in ("4", "6"):
        assert got[f"http allowed.test {version}"] == [200, "hello from allowed.test"], got
        assert got[f"https allowed.test {version}"] == [200, "hello from allowed.test"]
        assert got[f"https bank.test {version}"] == [200, "hello from bank.test"]
        assert got[f"http games.test {version}"][0] == 403
        assert got[f"https games.test {version}"][0] == 403
        assert got[f"another Host {version}"][0] == 403
        assert got[f"the address {version}"][0] in {403, 502}
    assert got["issuers"] == {"allowed.test": True, "bank.test": False}  # ours, or the site's own
    assert got["seen"] == {"allowed.test": 5, "bank.test": 2}
    assert got["not redirected"] == 0  # who comes to the listener by itself is no one's guest


def main(folder: str) -> None:
    """The box and the device, in this namespace."""
    spec = importlib.util.spec_from_file_location("fakes", HERE.with_name("conftest.py"))
    fakes = importlib.util.module_from_spec(spec)
    sys.modules["fakes"] = fakes
    spec.loader.exec_module(fakes)
    for words in (
        "link set lo up",
        "addr add 198.51.100.1/24 dev lo",
        "-6 addr add 2001:db9::1/64 dev lo nodad",
        "route add 203.0.113.0/24 dev lo src 127.0.0.1",
        "-6 route add 2001:db8::/32 dev lo",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    place = Path(folder) / "transparent"
    place.mkdir()
    ca = fakes.make_ca(place, "internet-ca")
    context = fakes.site_context(place, ca, fakes.HOSTS)
    plain, secure = fakes.Origin("127.0.0.1", None, 80), fakes.Origin("127.0.0.1", context, 443)
    settings = fakes.settings_for(place / "conf", ca.path, {"ks3": 0})
    own = (("ks3-four", "0.0.0.0", 9000), ("ks3-six", "::", 9001))
    worker = fakes.Worker(replace(settings, transparent=own))
    made = worker.live.kept
    networks = (fakes.Network("n4", "ks3", "127.0.0.0/8"), fakes.Network("n6", "ks3", "2001:db9::/64"))
    school = replace(made.schools["hillview"], networks=networks)
    worker.live.kept = replace(made, schools={"hillview": school}, clients=fakes.Clients([school]), _profiles={})
    subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True)
    both = place / "both.pem"
    both.write_bytes((settings.confdir / "schoolgate-ca.pem").read_bytes() + ca.path.read_bytes())

    def curl(url: str, version: str, *more: str, trust: Path = both) -> list:
        host = url.split("/")[2]
        leads = "203.0.113.9" if version == "4" else "[2001:db8::9]"
        source = "127.0.0.1" if version == "4" else "2001:db9::1"
        command = ["curl", "-sS", "--max-time", "10", "--cacert", str(trust), "-w", "\n%{http_code}", "--interface", source]
        if host.endswith(".test"):
            command += ["--resolve", f"{host}:80:{leads}", "--resolve", f"{host}:443:{leads}"]
        command += [*more, url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return [int(status), body[:100]]

    found: dict[str, object] = {}
    for version, address in (("4", "203.0.113.9"), ("6", "[2001:db8::9]")):
        for host in ("allowed.test", "games.test"):
            found[f"http {host} {version}"] = curl(f"http://{host}/", version)
        for host in ("allowed.test", "bank.test", "games.test"):
            found[f"https {host} {version}"] = curl(f"https://{host}/", version)
        found[f"another Host {version}"] = curl("https://allowed.test/", version, "-H", "Host: games.test")
        found[f"the address {version}"] = curl(f"https://{address}/", version, "-k")
    ours = settings.confdir / "schoolgate-ca.pem"
    found["issuers"] = {host: curl(f"https://{host}/", "4", trust=ours)[0] == 200 for host in ("allowed.test", "bank.test")}
    found["not redirected"] = curl("http://127.0.0.1:9000/", "4")[0]
    seen = [each.headers["host"] for each in (*plain.seen, *secure.seen)]
    found["seen"] = {host: seen.count(host) for host in sorted(set(seen))}
    for each in (worker, plain, secure):
        each.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
