"""Sign-in by the school's own identity provider (OpenID Connect: Google Workspace, Entra ID). The extra `sso`.

An account there opens a session here only after its owner, signed in with password and code, linked the two herself: no name
or e-mail address that an administrator over there can give away is believed. Such a session holds no key. It reads and asks;
to sign anything it takes a passkey, or the password. Authorization code flow with PKCE, state and nonce; the answer is bound
to the browser that asked by a sealed cookie, so nothing is stored between the two.
"""

import base64
import hashlib
import hmac
import json
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from change_control import keys
from change_control.people import Registry, WrongCredentials
from change_control.tables import SsoRow

STATE_LIVES = timedelta(minutes=10)
LARGEST = 256 * 1024
ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]
SLACK = 60  # seconds that two clocks may differ
FAILED = "signing in by your school’s account did not work; try again, or sign in with your password"

type Fetch = Callable[[Request], bytes]


@dataclass(frozen=True, slots=True)
class Provider:
    """Where people have their other account, and what this desk is called there."""

    issuer: str
    client_id: str
    client_secret: str
    name: str = "your school’s account"


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def fetch(request: Request, *, timeout: float = 10) -> bytes:
    """Over TLS, from where it was asked and nowhere else; plain HTTP only to this machine."""
    parts = urlsplit(request.full_url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}):
        raise OSError(f"{parts.scheme}://{parts.hostname} is not safe to ask")
    opener = build_opener(_NoRedirects(), HTTPSHandler(context=ssl.create_default_context()))
    with opener.open(request, timeout=timeout) as said:
        body: bytes = said.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise OSError("the identity provider’s answer is too long")
    return body


@dataclass(frozen=True, slots=True)
class Answered:
    """Who came back: the account over there, and for what it was asked."""

    issuer: str
    subject: str
    label: str
    link: str  # the person who links her account; "" for a sign-in
    target: str


@dataclass(frozen=True, slots=True)
class Sso:
    """Sign-in by one provider."""

    registry: Registry
    provider: Provider
    back: str  # the address that the provider sends people back to
    fetch: Fetch = fetch

    def begin(self, *, link: str = "", target: str = "/") -> tuple[str, str]:
        """The provider's page to go to, and the sealed cookie to come back with."""
        verifier, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        until = int((self.registry.office.now() + STATE_LIVES).timestamp())
        kept = {"verifier": verifier, "state": state, "nonce": nonce, "until": until, "link": link, "target": target}
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.back,
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        page = self._address("authorization_endpoint")
        sealed = keys.wrap(json.dumps(kept).encode(), self.registry.desk_secret, b"sso")
        return f"{page}{'&' if '?' in page else '?'}{urlencode(asked)}", sealed

    def answered(self, sealed: str, state: str, code: str) -> Answered:
        """Who it was, from what the provider sent back; WrongCredentials for anything that is not whole."""
        try:
            kept = json.loads(keys.unwrap(sealed, self.registry.desk_secret, b"sso"))
        except ValueError:
            raise WrongCredentials(FAILED) from None
        fresh = kept["until"] >= self.registry.office.now().timestamp()
        if not fresh or not code or not hmac.compare_digest(str(kept["state"]).encode(), state.encode()):
            raise WrongCredentials(FAILED)
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.back,
            "client_id": self.provider.client_id,
            "client_secret": self.provider.client_secret,
            "code_verifier": kept["verifier"],
        }
        token = self._json(Request(self._address("token_endpoint"), urlencode(given).encode(), method="POST"))  # noqa: S310
        claims = self._claims(str(token.get("id_token", "")), kept["nonce"])
        label = str(claims.get("email") or claims.get("name") or claims["sub"])[:200]
        return Answered(self.provider.issuer, str(claims["sub"])[:255], label, str(kept["link"]), str(kept["target"]))

    def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """What the provider signed, for this desk, for this very sign-in, just now (OpenID Connect Core, 3.1.3.7)."""
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        now = self.registry.office.now().timestamp()
        try:
            known = KeySet.import_key_set(self._json(Request(self._address("jwks_uri"))))  # type: ignore[arg-type] # noqa: S310
            claims = jwt.decode(token, known, algorithms=ALGORITHMS).claims
            audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
            good = (
                claims["iss"] == self.provider.issuer
                and self.provider.client_id in audience
                and (len(audience) == 1 or claims.get("azp") == self.provider.client_id)
                and float(claims["exp"]) > now - SLACK
                and float(claims["iat"]) < now + SLACK
                and hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode())
                and bool(str(claims["sub"]))
            )
        except (JoseError, KeyError, TypeError, ValueError):
            raise WrongCredentials(FAILED) from None
        if not good:
            raise WrongCredentials(FAILED)
        return claims

    def _address(self, name: str) -> str:
        described = self._json(Request(f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration"))  # noqa: S310
        if described.get("issuer") != self.provider.issuer or not isinstance(described.get(name), str):
            raise WrongCredentials(FAILED)
        return str(described[name])

    def _json(self, request: Request) -> Mapping[str, Any]:
        try:
            found = json.loads(self.fetch(request))
        except (URLError, OSError, ValueError, RecursionError):
            raise WrongCredentials(f"{self.provider.name} does not answer; sign in with your password") from None
        if not isinstance(found, dict):
            raise WrongCredentials(FAILED)
        return found

    # --- links --------------------------------------------------------------------------------------------------------

    def link(self, session: Session, who: Answered) -> None:
        """The account is hers from now on; one account is one person's."""
        row = session.get(SsoRow, (who.issuer, who.subject))
        if row is not None and row.person != who.link:
            raise WrongCredentials("this account is linked to another person here")
        if row is None:
            now = self.registry.office.now()
            session.add(SsoRow(issuer=who.issuer, subject=who.subject, person=who.link, label=who.label, created=now))

    def sign_in(self, session: Session, who: Answered, *, address: str, agent: str) -> str:
        """The cookie of a new session. No key is opened by it."""
        row = session.get(SsoRow, (who.issuer, who.subject))
        if row is None:
            raise WrongCredentials(
                "this account is linked to nobody here; sign in with your password, and link it under Your sign-in"
            )
        return self.registry.open_session(session, row.person, None, address=address, agent=agent)


def mine(session: Session, person: str) -> list[SsoRow]:
    """The accounts that a person has linked."""
    return list(session.scalars(select(SsoRow).where(SsoRow.person == person).order_by(SsoRow.created)))


def unlink(session: Session, person: str) -> None:
    """None of them counts any more."""
    session.execute(delete(SsoRow).where(SsoRow.person == person))
