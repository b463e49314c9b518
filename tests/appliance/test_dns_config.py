"""What the configuration says of the resolver, and what it refuses in one plain line."""

import pytest

from appliance.config import BadConfiguration, load


def loaded(tmp_path, text):
    file = tmp_path / "schoolgate.yaml"
    file.write_text("dns:\n" + "\n".join("  " + line for line in text.splitlines()))
    return load(file, tmp_path, {}).dns


def test_resolvers_zones_and_names_of_the_schools_own(tmp_path):
    dns = loaded(tmp_path, """\
upstreams: [10.0.0.1, "tls://9.9.9.9#dns.quad9.net", "https://1.1.1.1/dns-query#cloudflare-dns.com"]
forward: {"School.Local": ["10.0.0.2", "10.0.0.3:5353"], 10.in-addr.arpa: 10.0.0.2}
hosts: {printer.school.local: 10.0.0.9}
tunnels: block
rpz_listen: [127.0.0.1:5353]
""")  # fmt: skip
    assert dns.upstreams == (
        "10.0.0.1:53",
        "tls://9.9.9.9:853#dns.quad9.net",
        "https://1.1.1.1:443/dns-query#cloudflare-dns.com",
    )
    assert dns.forward == (("school.local", ("10.0.0.2:53", "10.0.0.3:5353")), ("10.in-addr.arpa", ("10.0.0.2:53",)))
    assert dns.hosts == (("printer.school.local", ("10.0.0.9",)),)
    assert (dns.tunnels, dns.rpz_listen) == ("block", (("127.0.0.1", 5353),))


@pytest.mark.parametrize(("text", "said"), [
    ("upstreams: [dns.google]", "named by its address"),
    ("upstreams: []", "a list of resolvers"),
    ("forward: [a]", "names with a list each"),
    ("forward: {'a b': 10.0.0.1}", "A name is made of"),
    ("hosts: {printer.local: nowhere}", "not an IP address"),
    ("tunnels: maybe", "neither tell nor block"),
    ("tunels: block", "did you mean 'tunnels'"),
])  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, text, said):
    with pytest.raises(BadConfiguration, match=said) as error:
        loaded(tmp_path, text)
    assert "\n" not in str(error.value)
