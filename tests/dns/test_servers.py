"""How resolvers are written."""

import pytest

from dns.servers import Server, server


@pytest.mark.parametrize(("words", "meant", "again"), [
    ("10.0.0.1", Server("10.0.0.1", 53), "10.0.0.1:53"),
    ("10.0.0.1:5353", Server("10.0.0.1", 5353), "10.0.0.1:5353"),
    ("2001:db8::1", Server("2001:db8::1", 53), "[2001:db8::1]:53"),
    ("[2001:db8::1]:54", Server("2001:db8::1", 54), "[2001:db8::1]:54"),
    ("tls://9.9.9.9#dns.quad9.net", Server("9.9.9.9", 853, "tls", "dns.quad9.net"), "tls://9.9.9.9:853#dns.quad9.net"),
    ("tls://9.9.9.9:8853", Server("9.9.9.9", 8853, "tls"), "tls://9.9.9.9:8853"),
    ("https://1.1.1.1#cloudflare-dns.com", Server("1.1.1.1", 443, "https", "cloudflare-dns.com", "/dns-query"),
     "https://1.1.1.1:443/dns-query#cloudflare-dns.com"),
    ("https://[2001:db8::1]:444/q", Server("2001:db8::1", 444, "https", "", "/q"), "https://[2001:db8::1]:444/q"),
])  # fmt: skip
def test_words(words, meant, again):
    assert server(words) == meant
    assert meant.words == again
    assert server(again) == meant


@pytest.mark.parametrize(
    "words", ["", "dns.google", "tls://dns.google", "quic://1.1.1.1", "10.0.0.1:99999", "https://a@1.1.1.1/", "1.1.1.1:x"]
)
def test_what_is_no_resolver_is_said(words):
    with pytest.raises(ValueError, match=r"9\.9\.9\.9#dns"):
        server(words)
