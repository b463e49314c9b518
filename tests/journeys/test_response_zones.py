"""Another resolver filters with a school's policy: BIND fetches the zone, refuses the same names, and follows a change."""

import base64
import json
import shutil
import socket
import subprocess
from contextlib import contextmanager

import pytest
import yaml

from .conftest import running, until

ZONE = "ks3.hillview.rpz.schoolgate"
SECRET = base64.b64encode(bytes(range(32))).decode()
KS3 = "127.20.3.5"


def named():
    found = shutil.which("named", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert found, "BIND is missing; .ci/run installs it"
    return found


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def dig(port, name, *more):
    command = ["dig", "@127.0.0.1", "-p", str(port), name, "+tries=1", "+time=5", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout


@contextmanager
def bind(folder, port, primary, internet):
    folder.mkdir()
    log = folder / "log"
    (folder / "named.conf").write_text(f"""
        key "school-bind" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
        controls {{ }};
        options {{
            directory "{folder}"; pid-file none; session-keyfile none; managed-keys-directory "{folder}";
            listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
            recursion yes; allow-recursion {{ any; }}; dnssec-validation no; forward only;
            forwarders {{ 127.0.0.1 port {internet.dns_port}; }};
            response-policy {{ zone "{ZONE}"; }};
        }};
        zone "{ZONE}" {{ type secondary; primaries {{ 127.0.0.1 port {primary} key "school-bind"; }};
            file "{folder}/zone"; allow-notify {{ 127.0.0.1; }}; }};
    """)
    with log.open("wb") as out:
        process = subprocess.Popen([named(), "-g", "-c", str(folder / "named.conf")], stdout=out, stderr=out)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(20)


def test_bind_filters_with_the_schools_policy_and_follows_it(tmp_path, internet):
    data, port = tmp_path / "data", free_port()
    secrets = data / "secrets"
    secrets.mkdir(parents=True)
    keys = secrets / "rpz-keys.yaml"
    keys.write_text(yaml.safe_dump({
        "school-bind": {"algorithm": "hmac-sha256", "secret": SECRET, "zones": [ZONE], "notify": [f"127.0.0.1:{port}"]},
        "other": {"algorithm": "hmac-sha256", "secret": SECRET, "zones": ["ks4.hillview.rpz.schoolgate"]},
    }))  # fmt: skip
    keys.chmod(0o600)
    with running(data, internet, SCHOOLGATE_DNS_RPZ_LISTEN="127.0.0.1:0") as box:
        primary = int(box.ready["rpz"][0].rsplit(":", 1)[1])
        transfer = ("AXFR", "-y", f"hmac-sha256:school-bind:{SECRET}")
        until(lambda: "bet365.com" in dig(primary, ZONE, *transfer), 60, "the zone is served")
        with bind(tmp_path / "bind", port, primary, internet) as log:
            until(lambda: "status: NXDOMAIN" in dig(port, "bet365.com"), 30, f"BIND refuses what the school refuses; {log}")
            assert "status: NXDOMAIN" in dig(port, "a.b.bet365.com")
            assert "status: NXDOMAIN" in dig(port, "use-application-dns.net")
            assert "127.0.0.1" in dig(port, "en.wikipedia.org", "+short")
            assert "forcesafesearch.google.com." in dig(port, "www.google.co.uk", "+short")
            assert "status: NXDOMAIN" in dig(port, "crazygames.com")

            # the head opens a site: BIND is told, fetches the difference, and lets it through
            change = box.desk("hillview-teacher").ask(
                "hillview", kind="site", site="crazygames.com", action="allow", groups=["ks3"]
            )
            assert box.desk("hillview-head").act("approve", change).json()["state"] == "in_force"
            until(lambda: "127.0.0.1" in dig(port, "crazygames.com", "+short"), 30, "BIND follows the change")
            assert "1 messages, 6 records" in log.read_text(), "a difference: four SOAs and the two lines that went"
            assert "status: NXDOMAIN" in dig(port, "poki.com")

        # who has no key, or one for another zone, gets nothing
        assert "bet365" not in dig(primary, ZONE, "AXFR")
        assert "Transfer failed" in dig(primary, ZONE, "AXFR")
        assert "bet365" not in dig(primary, ZONE, "AXFR", "-y", f"hmac-sha256:other:{SECRET}")
        assert "bet365" not in dig(
            primary, ZONE, "AXFR", "-y", f"hmac-sha256:school-bind:{base64.b64encode(bytes(32)).decode()}"
        )
        serial = int(dig(primary, ZONE, "SOA", "-y", f"hmac-sha256:school-bind:{SECRET}", "+short").split()[2])
        same = dig(primary, ZONE, f"IXFR={serial}", "-y", f"hmac-sha256:school-bind:{SECRET}")
        assert same.count("SOA") == 1
        assert "bet365" not in same
        assert "bet365" in dig(primary, ZONE, "IXFR=1", *transfer[1:])  # too far behind: the whole zone


def test_a_policy_is_exported_for_people_and_programs(box):
    said = box.run("policy", "export", "--format", "rpz", "--school", "hillview", "--group", "ks3")
    assert said.returncode == 0, said.stderr
    assert "\nbet365.com CNAME .\n" in said.stdout
    assert "; Withheld: 0 names of sealed lists." in said.stdout
    again = box.run("policy", "export", "--format", "rpz", "--school", "hillview", "--group", "ks3")
    assert again.stdout == said.stdout  # the same serial too
    made = json.loads(box.run("policy", "export", "--format", "json", "--school", "hillview", "--group", "ks3").stdout)
    assert made["names"]["bet365.com"] == "block"
    assert made["document"]["log"] == "hillview"
    wrong = box.run("policy", "export", "--format", "rpz", "--school", "hillview", "--group", "ks9")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "it has:" in wrong.stderr


def test_a_key_is_made_for_the_owner_alone(box):
    said = box.run("policy", "key", "school-bind", "--school", "hillview", "--group", "ks3", "--notify", "10.0.0.2:53")
    assert said.returncode == 0, said.stderr
    file = box.data / "secrets" / "rpz-keys.yaml"
    made = yaml.safe_load(file.read_text())["school-bind"]
    assert (made["zones"], made["notify"], file.stat().st_mode & 0o777) == ([ZONE], ["10.0.0.2:53"], 0o600)
    assert made["secret"] in said.stdout
    box.run("policy", "key", "school-bind", "--school", "hillview", "--group", "ks4")
    more = yaml.safe_load(file.read_text())["school-bind"]
    assert (more["secret"], len(more["zones"])) == (made["secret"], 2)
    file.chmod(0o644)
    open_ = box.run("policy", "key", "other", "--school", "hillview", "--group", "ks3")
    assert (open_.returncode, "chmod 600" in open_.stderr) == (2, True)
    file.unlink()


@pytest.mark.parametrize("words", [["policy"], ["policy", "export", "--school", "hillview", "--group", "ks3"]])
def test_wrong_words_are_one_line(box, words):
    said = box.run(*words)
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
