"""Signatures of transfers: made, checked, and every flipped bit found."""

import base64
import hmac
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns import codec
from dns.codec import Malformed
from dns.tsig import ALGORITHMS, BADKEY, BADSIG, BADTIME, Key, NotSigned, Signer, checked

KEY = Key.of("school-bind", "hmac-sha256", base64.b64encode(bytes(range(32))).decode(), frozenset({"z"}))
REQUEST = b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + codec.wire_name("ks3.hillview.rpz.schoolgate") + b"\0\xfc\0\1"
NOW = 1_790_000_000


def signed(key=KEY, at=NOW):
    """As a client signs its request: not even an empty signature stands before it."""
    signer = Signer(key, b"")
    whole = signer.signed(REQUEST, at)
    name, algorithm = codec.wire_name(key.name), codec.wire_name(key.algorithm)
    timers = struct.pack("!HIH", at >> 32, at & 0xFFFFFFFF, 300)
    mac = hmac.new(
        key.secret, REQUEST + name + struct.pack("!HI", 255, 0) + algorithm + timers + b"\0\0\0\0", ALGORITHMS[key.algorithm]
    ).digest()
    return whole.replace(signer.before, mac)


def test_a_signature_holds():
    signer = checked(signed(), {KEY.name: KEY}, NOW + 200)
    assert signer.key is KEY


@pytest.mark.parametrize(("key", "at", "error"), [
    (Key.of("other", "hmac-sha256", base64.b64encode(bytes(32)).decode(), frozenset()), NOW, BADKEY),
    (Key("school-bind", "hmac-sha512", bytes(range(32)), frozenset()), NOW, BADKEY),
    (Key("school-bind", "hmac-sha256", bytes(32), frozenset()), NOW, BADSIG),
    (KEY, NOW - 301, BADTIME),
    (KEY, NOW + 301, BADTIME),
])  # fmt: skip
def test_a_signature_that_does_not_hold(key, at, error):
    with pytest.raises(NotSigned) as refused:
        checked(signed(key, at), {KEY.name: KEY}, NOW)
    assert refused.value.error == error


@given(st.integers(0, len(signed()) * 8 - 1))
def test_every_flipped_bit_is_found(bit):
    packet = bytearray(signed())
    packet[bit // 8] ^= 1 << bit % 8
    if bytes(packet).lower() == signed().lower() or bit < 16:
        return  # the id is signed in its original; capitals of a key's name are none
    with pytest.raises((NotSigned, Malformed)):
        checked(bytes(packet), {KEY.name: KEY}, NOW)


@given(st.binary(min_size=12, max_size=200))
def test_strangers_bytes(data):
    with pytest.raises((NotSigned, Malformed)):
        checked(data, {KEY.name: KEY}, NOW)


@pytest.mark.parametrize(("algorithm", "secret", "said"), [
    ("hmac-md5", "AAAA", "is none of"), ("hmac-sha256", "!", "not base64"), ("hmac-sha256", "AAAA", "fewer than 16"),
])  # fmt: skip
def test_what_is_no_key(algorithm, secret, said):
    with pytest.raises(ValueError, match=said):
        Key.of("k", algorithm, secret, frozenset())
