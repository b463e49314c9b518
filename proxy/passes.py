"""The way on from a warning: ten minutes for one client at one host.

The warning's link leads to the same page with a signed token in its query. The worker that meets it remembers the pass, and
answers with a redirect that sets the token as that site's cookie, so that the other workers, which share no memory, accept
it too. Token and cookie are taken out of whatever goes on to the site.
"""

from proxy import tokens

NAME = "__schoolgate_ok"
LIFETIME = 600.0  # seconds
REMEMBERED = 20_000  # passes a worker keeps; then it forgets all, and the cookies speak
_PURPOSE = "read the warning"


class Passes:
    def __init__(self, key: bytes) -> None:
        self._key = key
        self._until: dict[tuple[str, str], float] = {}

    def token(self, address: str, host: str, now: float) -> str:
        return tokens.sign(self._key, _PURPOSE, {"address": address, "host": host}, now)

    def accepts(self, token: str, address: str, host: str, now: float) -> bool:
        return tokens.read(self._key, _PURPOSE, token, now, LIFETIME) == {"address": address, "host": host}

    def remember(self, address: str, host: str, now: float) -> None:
        if len(self._until) >= REMEMBERED:
            self._until.clear()
        self._until[address, host] = now + LIFETIME

    def remembered(self, address: str, host: str, now: float) -> bool:
        return self._until.get((address, host), 0.0) > now


def onward(query: str, token: str) -> str:
    """The query of a page with the token in it."""
    bare, _ = taken_from_query(query)
    return f"{bare}&{NAME}={token}" if bare else f"{NAME}={token}"


def taken_from_query(query: str) -> tuple[str, str]:
    """The query without our token, and the token or ""."""
    if NAME not in query:
        return query, ""
    return _taken(query.split("&"), "&")


def taken_from_cookies(cookies: str) -> tuple[str, str]:
    """A Cookie header without our token, and the token or ""."""
    if NAME not in cookies:
        return cookies, ""
    return _taken([each.strip() for each in cookies.split(";")], "; ")


def set_cookie(token: str, *, secure: bool) -> str:
    return f"{NAME}={token}; Path=/; Max-Age={int(LIFETIME)}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")


def _taken(parts: list[str], joint: str) -> tuple[str, str]:
    ours = [part for part in parts if part.partition("=")[0] == NAME]
    kept = joint.join(part for part in parts if part.partition("=")[0] != NAME)
    return kept, ours[-1].partition("=")[2] if ours else ""
