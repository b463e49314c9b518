"""The section `devices`: what it may say, and what is said where it makes no sense."""

import pytest

from appliance.config import BadConfiguration, Config, load
from appliance.devices.settings import RADIUS_PORT, DevicesConfig, RadiusClient, secret


def loaded(tmp_path, text):
    file = tmp_path / "schoolgate.yaml"
    file.write_text(text)
    return load(file, tmp_path, {})


def test_what_it_says(tmp_path):
    config = loaded(
        tmp_path,
        "devices:\n  neighbours: false\n  leases: /srv/leases\n  radius_listen: 10.0.0.1\n  session_hours: 8\n"
        "  radius_clients:\n    wifi: {from: [10.9.0.5, '2001:db8::/64'], secret_file: /etc/s, school: hill}\n",
    )
    client = RadiusClient("wifi", ("10.9.0.5/32", "2001:db8::/64"), "/etc/s", "hill")
    assert config.devices == DevicesConfig(False, ("/srv/leases",), (("10.0.0.1", RADIUS_PORT),), (client,), 8)
    assert Config.from_json(config.to_json()) == config
    assert client.has("2001:db8::7")
    assert not client.has("10.9.0.6")


@pytest.mark.parametrize(("text", "there"), [("", False), ("devices:\n", True), ("devices: {}\n", True)])
def test_where_nothing_is_said(tmp_path, text, there):
    assert (loaded(tmp_path, text).devices is not None) is there


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("neighbors: true", "did you mean 'neighbours'"),
        ("neighbours: perhaps", "neither yes nor no"),
        ("leases: [1]", "list of files"),
        ("radius_listen: [x]", "not an IP address"),
        ("radius_listen: ['10.0.0.1']", "radius_clients"),
        ("radius_clients: {w: {from: x, secret_file: y}}", "from"),
        ("radius_clients: {w: {from: 10.0.0.1}}", "secret_file"),
        ("radius_clients: {w: {secret_file: y}}", "addresses that it sends from"),
        ("radius_clients: {w: {from: 10.0.0.1, secret_file: y, group: staff}}", "unknown key 'group'"),
        ("session_hours: 0", "hours"),
    ],
)
def test_what_makes_no_sense(tmp_path, text, why):
    with pytest.raises(BadConfiguration, match=why):
        loaded(tmp_path, f"devices: {{{text}}}\n")


def test_a_secret_is_read_without_its_line_end_and_is_no_word(tmp_path):
    file = tmp_path / "secret"
    client = RadiusClient("wifi", ("10.9.0.5/32",), str(file))
    with pytest.raises(BadConfiguration, match="No such file"):
        secret(client)
    file.write_text("long enough\n")
    assert secret(client) == b"long enough"
    file.write_text("short\n")
    with pytest.raises(BadConfiguration, match="8 letters"):
        secret(client)
