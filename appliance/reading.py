"""Reading the configuration's words: what YAML gave, and what to say where it makes no sense."""

from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class BadConfiguration(ValueError):
    """One plain line: where, what is wrong, what would be right."""


def good_url(url: str) -> bool:
    """https, or plain http to this machine alone."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.username or parts.fragment or not host or any(ord(each) <= 32 for each in url):
        return False
    if parts.scheme == "http":
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"
    return parts.scheme == "https"


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def read(file: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise BadConfiguration(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BadConfiguration(
            f"{file}{where}: this is not YAML ({getattr(error, 'problem', None) or 'unreadable'})"
        ) from None
    if not isinstance(raw, dict):
        raise BadConfiguration(f"{file}: sections such as `dns:` are expected")
    return raw


def hint(key: object, known: Mapping[str, object]) -> str:
    close = get_close_matches(str(key), list(known), n=1)
    return f"{key!r}" + (f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known)}")


def keys(file: str, name: str, raw: object) -> dict[Any, Any]:
    if raw is None:
        return {}  # a section whose keys are all commented out
    if not isinstance(raw, dict):
        raise BadConfiguration(f"{file}: {name} takes keys and values")
    return raw
