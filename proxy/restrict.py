"""Safe search forced: query parameters set and headers sent as policy/search_engines says. Pure."""

from collections.abc import Mapping
from urllib.parse import quote_plus, unquote_plus

from policy.search_engines import Engine


def safe_query(engine: Engine, path: str, query: str) -> str:
    """The query with the engine's safe parameters in place of the client's own, where this is or may be a search.

    Everything else stays byte for byte: sites sign their addresses.
    """
    if not engine.safe or not _may_be_search(engine, path, query):
        return query
    kept = [part for part in query.split("&") if part and not _sets(part, engine.safe)]
    return "&".join([*kept, *(f"{quote_plus(name)}={quote_plus(value)}" for name, value in engine.safe.items())])


def safe_cookies(engine: Engine, cookies: str) -> str:
    """A Cookie header with the engine's safe ones in place of the client's own."""
    if not engine.cookies:
        return cookies
    kept = [part.strip() for part in cookies.split(";") if part.strip()]
    kept = [part for part in kept if part.partition("=")[0] not in engine.cookies]
    return "; ".join([*kept, *(f"{name}={value}" for name, value in engine.cookies.items())])


def forced_headers(engine: Engine, video: str) -> Mapping[str, str]:
    """What is sent along in place of the client's own headers; a video site's by the group's setting for those."""
    return engine.sent(video if engine.video else "strict")


def _may_be_search(engine: Engine, path: str, query: str) -> bool:
    if not engine.paths or path in engine.paths:
        return True
    return any(_name(part) in engine.terms for part in query.split("&"))


def _sets(part: str, safe: Mapping[str, str]) -> bool:
    return _name(part).lower() in safe


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])
