"""What `install` would do is shown, done below another root, and taken back; the units are what they should be."""

import configparser
import subprocess

from appliance.__main__ import main
from appliance.config import load
from appliance.installing import UNITS, Place, unit


def test_shown_done_shown_again_and_taken_back(tmp_path, capsys):
    root = ["--root", str(tmp_path)]
    assert main(["install", *root]) == 0
    shown = capsys.readouterr().out
    assert "would: write /etc/systemd/system/schoolgate.service" in shown
    assert "Nothing was changed" in shown
    assert list(tmp_path.iterdir()) == []
    assert main(["install", "--yes", *root]) == 0
    assert "done: make the folder /var/lib/schoolgate" in capsys.readouterr().out
    config = tmp_path / "etc/schoolgate/schoolgate.yaml"
    assert load(config, tmp_path, {}).dns.listen == (("0.0.0.0", 53), ("::", 53))
    config.write_text("admin: {listen: '10.0.0.1:8443'}\n")
    assert main(["install", "--yes", *root]) == 0
    assert "would" not in (again := capsys.readouterr().out)
    assert "done:" not in again
    assert config.read_text().startswith("admin"), "what was edited stays"
    assert main(["uninstall", "--yes", *root]) == 0
    assert not list((tmp_path / "etc/systemd/system").iterdir())
    assert config.exists()


def test_only_the_unit_that_steers_may_change_the_network():
    for name in UNITS:
        read = configparser.RawConfigParser(strict=False)
        read.optionxform = str
        read.read_string(unit(name, Place()))
        wanted = {"schoolgate.service": "CAP_NET_BIND_SERVICE"}.get(name, "CAP_NET_ADMIN")
        assert read["Service"]["CapabilityBoundingSet"] == wanted
        assert read["Service"]["NoNewPrivileges"] == "yes"
        assert read["Service"]["ProtectSystem"] == "strict"
        assert "{" not in unit(name, Place())


def test_systemd_reads_the_units(tmp_path):
    for name in UNITS:
        (tmp_path / name).write_text(unit(name, Place()))
    words = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert not [line for line in done.stderr.splitlines() if str(tmp_path) in line], done.stderr
