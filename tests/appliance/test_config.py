"""The configuration: a file, then the environment; whatever is wrong is said in one line that names it."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import ENVIRONMENT, SECTIONS, BadConfiguration, Config, address, load, on_loopback_only
from appliance.receivers import syslog_server


@pytest.fixture
def written(tmp_path):
    """Load a configuration of this text (None: no file) under this environment."""

    def make(text=None, demo=False, **environ):
        if text is not None:
            (tmp_path / "schoolgate.yaml").write_text(text, encoding="utf-8")
        return load(None, tmp_path, {f"SCHOOLGATE_{name}": value for name, value in environ.items()}, demo=demo)

    return make


WHOLE = """
dns:
  listen: [10.0.0.1:53, "[2001:db8::1]:53"]
  upstreams: [9.9.9.9, "2620:fe::fe", 10.0.0.2:5353]
  page_addresses: 10.0.0.1
  workers: 3
proxy:
  listen: 10.0.0.1:3128
  upstream_ca: /etc/ca.pem
admin:
  public_url: https://filter.school.example/
database:
  log: postgresql+psycopg://log
"""


def test_nothing_configured_is_loopback(tmp_path, written):
    config = written()
    assert config.data == tmp_path
    assert (config.dns.listen, config.proxy.listen, config.admin.listen) == (
        (("127.0.0.1", 5300),),
        (("127.0.0.1", 8080),),
        (("127.0.0.1", 8443),),
    )
    assert (config.desk_url, config.demo) == ("https://localhost:8443", False)
    assert config.desk_database == f"sqlite:///{tmp_path}/desk.sqlite3"
    assert config.log_database == f"sqlite:///{tmp_path}/log.sqlite3"
    on_loopback_only(config)


def test_a_whole_file(written):
    config = written(WHOLE)
    assert config.dns.listen == (("10.0.0.1", 53), ("2001:db8::1", 53))
    assert config.dns.upstreams == ("9.9.9.9:53", "[2620:fe::fe]:53", "10.0.0.2:5353")
    assert config.upstreams(Path("/nonexistent")) == config.dns.upstreams
    assert (config.dns.page_addresses, config.dns.workers) == (("10.0.0.1",), 3)
    assert [name for kind, name in config.filter_processes if kind == "dns"] == ["dns-1", "dns-2", "dns-3"]
    assert (config.proxy.listen, config.proxy.upstream_ca) == ((("10.0.0.1", 3128),), "/etc/ca.pem")
    assert config.desk_url == "https://filter.school.example"
    assert config.log_database == "postgresql+psycopg://log"
    assert Config.from_json(config.to_json()) == config, "the processes get the same"


def test_whom_messages_go_to(written):
    config = written(
        "mail: {server: '[2001:db8::1]:465', from: 'Desk <desk@school.example>', tls: tls}\n"
        "webhooks:\n  helpdesk: {url: 'https://helpdesk.example/hook', secret_file: /etc/hook}\n"
        "  own: {url: 'http://127.0.0.1:9000/', secret_file: /etc/own}\n"
    )
    assert config.mail.where == ("2001:db8::1", 465)
    assert config.mail.sender == "Desk <desk@school.example>"
    assert [(hook.name, hook.secret_file) for hook in config.webhooks] == [("helpdesk", "/etc/hook"), ("own", "/etc/own")]
    assert Config.from_json(config.to_json()) == config


def test_who_gets_the_log_as_it_grows(written):
    config = written(
        "log_to:\n  siem: {syslog: 'tls://siem.school.example', ca: /etc/siem.pem, school: hillview}\n"
        "  soc: {webhook: 'https://soc.example/hook', secret_file: /etc/hook}\n"
    )
    assert [(one.name, one.school) for one in config.log_to] == [("siem", "hillview"), ("soc", "")]
    assert syslog_server("", config.log_to[0].syslog) == ("tls", "siem.school.example", 6514)
    assert syslog_server("", "udp://[::1]:1514") == ("udp", "::1", 1514)
    assert Config.from_json(config.to_json()) == config


def test_encrypted_dns_and_balancers(written):
    dns = written(
        "dns: {dot_listen: 10.0.0.1, doh_listen: ['10.0.0.1', '[::1]:8443'], proxy_protocol_from: 10.0.0.0/30, client_queries_per_s: 50, busy_poll_us: 400}"
    ).dns
    assert dns.dot_listen == (("10.0.0.1", 853),)
    assert dns.doh_listen == (("10.0.0.1", 443), ("::1", 8443))
    assert (dns.proxy_protocol_from, dns.client_queries_per_s, dns.busy_poll_us) == (("10.0.0.0/30",), 50, 400)
    assert written(DOT_LISTEN="127.0.0.1:1,127.0.0.2", DOH_LISTEN="127.0.0.1:2").dns.dot_listen == (
        ("127.0.0.1", 1),
        ("127.0.0.2", 853),
    )
    with pytest.raises(BadConfiguration, match="can be reached from outside"):
        on_loopback_only(written("dns: {doh_listen: '10.0.0.1:443'}"))


def test_the_environment_stands_above_the_file(written):
    config = written(
        WHOLE,
        DNS_LISTEN=" 127.0.0.1:1, [::1]:2 ",
        DNS_UPSTREAMS="1.1.1.1",
        PROXY_UPSTREAM_CA="/other.pem",
        ADMIN_URL="https://other.example:8443",
        PROXY_LISTEN="  ",
    )
    assert config.dns.listen == (("127.0.0.1", 1), ("::1", 2))
    assert config.dns.upstreams == ("1.1.1.1:53",)
    assert config.dns.workers == 3, "what the environment does not name stays"
    assert (config.proxy.upstream_ca, config.admin.public_url) == ("/other.pem", "https://other.example:8443")
    assert config.proxy.listen == (("10.0.0.1", 3128),), "a blank variable is none"


@pytest.mark.parametrize(
    "text", ["", "dns:\n", "dns: {}\n", "# nothing\n", "dns:\n  # listen: 127.0.0.1:53\nproxy: {workers: 1}\n"]
)
def test_what_is_commented_out_is_not_there(written, text):
    assert written(text, DNS_LISTEN="127.0.0.1:53").dns.listen == (("127.0.0.1", 53),)
    assert written(text).dns.listen == (("127.0.0.1", 5300),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dnss: {}", "unknown key 'dnss'; did you mean 'dns'?"),
        ("policy: {}", "unknown key 'policy'; there are: dns, proxy, admin, database, mail, witness, gateway, devices, webhooks, log_to"),
        ("dns: {lisen: 127.0.0.1:53}", "in dns, unknown key 'lisen'; did you mean 'listen'?"),
        ("dns: {allow: games}", "in dns, unknown key 'allow'; there are: listen, upstreams"),
        ("mail: {server: smtp.example}", "mail.server: 'smtp.example' is not host:port"),
        ("mail: {server: 'smtp.example:99999', sender: a@b.example}", "mail.server: 'smtp.example:99999' is not host:port"),
        ("mail: {server: 'smtp.example:587'}", "mail.sender: say whom e-mail comes from"),
        ("mail: {server: 'smtp.example:587', from: a@b.example, tls: ssl}", "mail.tls: 'ssl' is neither starttls, tls nor none"),
        ("mail: {server: 'smtp.example:587', from: a@b.example, user: x}", "mail.password_file names the file"),
        (
            "mail: {server: 'smtp.example:25', from: a@b.example, user: x, password_file: /x, tls: none}",
            "a password is never sent without TLS",
        ),
        ("webhooks: [x]", "webhooks takes keys and values"),
        ("webhooks: {desk: {url: 'http://desk.example/', secret_file: /x}}", "webhooks.desk.url: 'http://desk.example/' is not"),
        ("webhooks: {desk: {url: 'https://desk.example/'}}", "webhooks.desk: secret_file names the file"),
        ("webhooks: {desk: {urll: 'https://desk.example/'}}", "in webhooks.desk, unknown key 'urll'; did you mean 'url'?"),
        ("log_to: {siem: {syslog: 'tls://'}}", "log_to.siem.syslog: 'tls://' is not udp://, tcp:// or tls:// and a host"),
        ("log_to: {siem: {syslog: 'http://x'}}", "log_to.siem.syslog: 'http://x' is not"),
        ("log_to: {siem: {syslog: 'tcp://x:99999'}}", "log_to.siem.syslog: 'tcp://x:99999' is not"),
        ("log_to: {siem: {syslog: 5}}", "log_to.siem.syslog: 5 is not a text"),
        ("log_to: {siem: {sislog: 'tcp://x'}}", "in log_to.siem, unknown key 'sislog'; did you mean 'syslog'?"),
        ("log_to: {siem: {ca: /x}}", "log_to.siem: either syslog or webhook says where the log goes"),
        ("log_to: {soc: {webhook: 'http://soc.example'}}", "log_to.soc.webhook: 'http://soc.example' is not an address"),
        ("log_to: {soc: {webhook: 'https://soc.example'}}", "log_to.soc: secret_file names the file"),
        ("witness: {logs: {birchwood: nokey}}", "witness.logs.birchwood: 'nokey' is not an authority's public key"),
        ("witness: {ask: {'https://w.example/witness': nokey}}", "'nokey' is not a witness's key"),
        ("witness: {ask: {'ftp://w.example': x}}", "is not an address such as https://filter.birchwood.example/witness"),
        ("5: {}", "unknown key '5'|unknown key 5"),
        ("dns: 5", "dns takes keys and values"),
        ("dns: [listen]", "dns takes keys and values"),
        ("- dns", "sections such as `dns:` are expected"),
        ("just words", "sections such as `dns:` are expected"),
        ("dns:\n  listen: [\n", "line 3: this is not YAML"),
        ("dns:\n\tlisten: x\n", "line 2: this is not YAML"),
        ("dns: !!python/object/apply:os.getcwd []", "line 1: this is not YAML"),
        ("dns: {listen: []}", "dns.listen: a list of host:port is expected"),
        ("dns: {listen: 53}", "dns.listen: a list of host:port is expected"),
        ("dns: {listen: localhost:53}", "dns.listen: 'localhost' is not an IP address"),
        ("dns: {listen: 10.0.0.1}", "dns.listen: '10.0.0.1' is not host:port"),
        ("dns: {listen: '10.0.0.1:65536'}", "is not host:port"),
        ("dns: {listen: '10.0.0.1:٥٣'}", "is not host:port"),
        ("dns: {listen: '10.0.0.1:-1'}", "is not host:port"),
        ("dns: {listen: '10.0.0.1:" + "9" * 5000 + "'}", "is not host:port"),
        ("dns: {listen: '::1:53'}", "is not host:port"),
        ("dns: {listen: [[1]]}", "is not host:port"),
        ("dns: {upstreams: resolver.example}", "dns.upstreams: 'resolver.example': a resolver is named by its address"),
        ("dns: {page_addresses: 7}", "a list of IP addresses"),
        ("dns: {page_addresses: [10.0.0.300]}", "'10.0.0.300' is not an IP address"),
        ("dns: {proxy_protocol_from: 7}", "a list of networks such as 10.0.0.0/30"),
        ("dns: {proxy_protocol_from: [balancer]}", "'balancer' is not a network"),
        ("dns: {client_queries_per_s: -1}", "-1 is not a number of queries a second"),
        ("dns: {client_queries_per_s: true}", "True is not a number of queries a second"),
        ("dns: {busy_poll_us: 2001}", "2001 is not a number of microseconds from 0 to 2000"),
        ("dns: {busy_poll_us: true}", "True is not a number of microseconds"),
        ("dns: {doh_listen: all}", "dns.doh_listen: 'all' is not an IP address"),
        ("dns: {workers: many}", "'many' is not a number of processes from 0 to 64"),
        ("dns: {workers: -1}", "from 0 to 64"),
        ("dns: {workers: 65}", "from 0 to 64"),
        ("dns: {workers: true}", "from 0 to 64"),
        ("dns: {workers: 1.5}", "from 0 to 64"),
        ("proxy: {upstream_ca: 7}", "proxy.upstream_ca: 7 is not a text"),
        ("proxy: {upstream_ca: }", "proxy.upstream_ca: None is not a text"),
        ("admin: {public_url: http://filter.example}", "is not an address such as https://"),
        ("admin: {sso_issuer: 'http://idp.example', sso_client_id: x}", "an https address is expected"),
        ("admin: {sso_issuer: 'https://idp.example'}", "admin.sso_client_id with it"),
        (
            "admin: {sso_issuer: 'https://idp.example', sso_client_id: x, sso_client_secret: /nowhere}",
            "/nowhere cannot be read",
        ),
        ("admin: {public_url: filter.example}", "is not an address such as https://"),
        ("admin: {public_url: 'https://'}", "is not an address such as https://"),
        ("admin: {public_url: 'https://filter.example/desk'}", "is not an address such as https://"),
        ("admin: {public_url: 'https://[::1'}", "is not an address such as https://"),
        ("admin: {public_url: 'https://filter.example:port'}", "is not an address such as https://"),
        ("admin: {public_url: 'https://filter.example:99999'}", "is not an address such as https://"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(written, text, said):
    with pytest.raises(BadConfiguration) as found:
        written(text)
    assert re.search(said, str(found.value)) or said in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"DNS_LISTEN": "here"}, "dns.listen: 'here' is not host:port"),
        ({"ADMIN_LISTEN": ","}, "admin.listen: a list of host:port is expected"),
        ({"ADMIN_URL": "nonsense"}, "admin.public_url: 'nonsense'"),
        ({"DNS_UPSTREAMS": "9.9.9.9:dns"}, "dns.upstreams"),
    ],
)
def test_a_wrong_variable_too(written, environ, said):
    with pytest.raises(BadConfiguration, match=said):
        written(**environ)


@pytest.mark.parametrize("section", ["5", "[1]", "words"])
def test_a_wrong_section_beside_a_variable(written, section):
    with pytest.raises(BadConfiguration, match="dns takes keys and values"):
        written(f"dns: {section}", DNS_LISTEN="127.0.0.1:53")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(BadConfiguration, match="No such file"):
        load(tmp_path / "missing.yaml", tmp_path, {})
    with pytest.raises(BadConfiguration, match="Is a directory"):
        load(tmp_path, tmp_path, {})
    (tmp_path / "latin.yaml").write_bytes(b"dns: \xe9\xff")
    with pytest.raises(BadConfiguration, match="this is not YAML"):
        load(tmp_path / "latin.yaml", tmp_path, {})


def test_the_data_folder(tmp_path):
    assert load(None, None, {"SCHOOLGATE_DATA": str(tmp_path)}).data == tmp_path
    assert load(None, tmp_path / "x", {"SCHOOLGATE_DATA": str(tmp_path)}).data == tmp_path / "x"
    assert load(None, None, {}).data == Path("var").absolute()


@pytest.mark.parametrize("section", ["dns", "proxy", "admin"])
@pytest.mark.parametrize("listen", ["0.0.0.0:53", "10.0.0.1:53", "[::]:53", "127.0.0.1:53, 10.0.0.1:53"])
def test_the_demonstration_never_listens_beyond_loopback(written, section, listen):
    config = written(demo=True, **{f"{section.upper()}_LISTEN": listen})
    with pytest.raises(BadConfiguration, match=rf"{section}\.listen: .* can be reached from outside"):
        on_loopback_only(config)


def test_inner_networks_are_the_demonstrations_alone(written):
    assert written(DEMO_INNER_NETWORKS="127.0.0.0/8").inner_networks == ()
    assert written(demo=True, DEMO_INNER_NETWORKS="127.0.0.0/8, 10.0.0.0/8").inner_networks == ("127.0.0.0/8", "10.0.0.0/8")
    with pytest.raises(BadConfiguration, match="SCHOOLGATE_DEMO_INNER_NETWORKS: 'all'"):
        written(demo=True, DEMO_INNER_NETWORKS="all")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (
            "nameserver 10.0.0.2\n# nameserver 10.0.0.3\nnameserver fe80::1%eth0\nsearch x\n",
            ("10.0.0.2", "fe80::1"),
        ),
        ("nameserver\nnameserver   10.0.0.2   \n", ("10.0.0.2",)),
    ],
)
def test_this_machines_own_resolvers(written, tmp_path, lines, found):
    (tmp_path / "resolv.conf").write_text(lines)
    assert written().upstreams(tmp_path / "resolv.conf") == found


def test_no_resolver_to_ask(written, tmp_path):
    with pytest.raises(BadConfiguration, match="names no resolver"):
        written().upstreams(tmp_path / "missing")
    assert written(demo=True).upstreams(tmp_path / "missing") == ("127.0.0.1",), "the demonstration starts all the same"


@given(st.text())
def test_an_address_is_one_or_is_refused(text):
    try:
        host, port = address("x", text, 53)
    except BadConfiguration:
        return
    assert 0 <= port <= 65535
    assert address("x", f"[{host}]:{port}" if ":" in host else f"{host}:{port}") == (host, port)


def test_nothing_that_decides_can_be_configured():
    keys = {f"{section}.{each.name}" for section, kind in SECTIONS.items() for each in fields(kind)}
    assert keys == {
        "dns.listen", "dns.upstreams", "dns.forward", "dns.hosts", "dns.tunnels", "dns.rpz_listen", "dns.rpz_keys",
        "dns.dot_listen", "dns.doh_listen", "dns.proxy_protocol_from", "dns.client_queries_per_s", "dns.busy_poll_us",
        "dns.page_addresses", "dns.workers", "proxy.listen", "proxy.upstream_ca", "proxy.workers", "proxy.portal_certificate", "proxy.portal_name",
        "proxy.tls_listen", "proxy.transparent_listen", "proxy.page_listen", "proxy.proxy_protocol_from",
        "admin.listen", "admin.public_url", "admin.sso_issuer", "admin.sso_client_id", "admin.sso_client_secret",
        "admin.sso_name", "database.desk", "database.log",
        "mail.server", "mail.sender", "mail.tls", "mail.user", "mail.password_file", "mail.ca",
        "witness.name", "witness.logs", "witness.ask",
    }  # fmt: skip
    assert {f"{section}.{key}" for section, key in ENVIRONMENT.values()} <= keys
