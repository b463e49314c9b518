"""Keys at rest and in use: what opens them, and what does not."""

import base64
import json
import stat

import pytest

from change_control.keys import (
    AuthorityKey,
    Locked,
    Signer,
    hash_password,
    password_holds,
    public_of,
    read_secret,
    seal,
    secret_of,
    unseal,
    unwrap,
    wrap,
    write_secret,
)
from policy.proof import Checkpoint, act_message, canonical, digest, read_checkpoint, verified

PRIVATE = bytes(range(32))


def flipped(text):
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    return base64.b64encode(data).decode()


def test_a_key_is_sealed_under_a_password():
    sealed = seal(PRIVATE, "three random words")
    assert unseal(sealed, "three random words") == PRIVATE
    assert base64.b64encode(PRIVATE).decode() not in sealed
    for other in (sealed, flipped(sealed)):
        with pytest.raises(Locked):
            unseal(other, "three random word" if other is sealed else "three random words")


def test_the_same_key_is_never_sealed_or_wrapped_twice_alike():
    assert wrap(PRIVATE, b"s" * 32) != wrap(PRIVATE, b"s" * 32)


@pytest.mark.parametrize(("secret", "purpose"), [(b"t" * 32, b"session"), (b"s" * 32, b"totp"), (b"", b"session")])
def test_what_is_wrapped_opens_with_its_secret_for_its_purpose_alone(secret, purpose):
    wrapped = wrap(PRIVATE, b"s" * 32)
    assert unwrap(wrapped, b"s" * 32) == PRIVATE
    with pytest.raises(Locked):
        unwrap(wrapped, secret, purpose)
    with pytest.raises(Locked):
        unwrap(flipped(wrapped), b"s" * 32)


def test_a_password_holds_or_does_not():
    hashed = hash_password("three random words")
    assert password_holds(hashed, "three random words")
    assert not password_holds(hashed, "three random Words")
    assert not password_holds("no hash at all", "three random words")
    assert "$argon2id$" in hashed
    assert "m=19456,t=2,p=1" in hashed


def test_a_signature_is_over_the_act_the_log_and_what_was_shown():
    signer = Signer("p-1", 4, PRIVATE)
    made = signer.sign("approve", "oakfield", {"b": 1, "a": 2})
    over = digest('{"a":2,"b":1}')
    assert (made["person"], made["enrolled"], made["act"], made["over"]) == ("p-1", 4, "approve", over)
    signature = base64.b64decode(made["signature"])
    public = public_of(PRIVATE)
    assert verified(public, signature, act_message("approve", "oakfield", over))
    for message in (
        act_message("ratify", "oakfield", over),
        act_message("approve", "hillview", over),
        act_message("approve", "oakfield", ""),
    ):
        assert not verified(public, signature, message)
    assert PRIVATE.hex() not in canonical(made)


def test_an_authoritys_key_is_made_once_and_kept_from_others(tmp_path):
    key = AuthorityKey.create(tmp_path, "birchwood")
    assert AuthorityKey.load(tmp_path) == key
    checkpoint = Checkpoint("schoolgate/birchwood/x", 3, b"r" * 32)
    assert read_checkpoint(key.sign(checkpoint), "birchwood", key.public) == checkpoint
    secret = tmp_path / "secrets" / "authority.key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    trust = json.loads((tmp_path / "trust" / "authority.json").read_text())
    assert trust == {"authority": "birchwood", "public": base64.b64encode(key.public).decode()}
    with pytest.raises(FileExistsError, match="installation already"):
        AuthorityKey.create(tmp_path, "birchwood")
    assert AuthorityKey.load(tmp_path) == key, "the second attempt changed nothing"


def test_a_secret_is_made_at_first_use(tmp_path):
    made = secret_of(tmp_path / "secrets" / "desk.key")
    assert len(made) == 32
    assert secret_of(tmp_path / "secrets" / "desk.key") == made
    write_secret(tmp_path / "secrets" / "desk.key", b"other")
    assert read_secret(tmp_path / "secrets" / "desk.key") == b"other"
