"""Which accounts may sign in at Google and Microsoft: only those of the school's own organisation, where the school says so.

Both ask the network for it in the same way: a header that a proxy adds tells them which organisations are let in. So these
names are looked into wherever a school has said whose accounts they are. Pure.
"""

import re
from collections.abc import Mapping
from typing import Protocol

from category_lists.names import NameRefused, canonical_host

# Where each asks for the header to be added, with what is below it.
GOOGLE = ("google.com", "googleapis.com", "gmail.com", "youtube.com")
MICROSOFT = frozenset({"login.microsoftonline.com", "login.microsoft.com", "login.windows.net"})
MICROSOFT_PRIVATE = "login.live.com"  # accounts of no organisation
_DIRECTORY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class HasTenants(Protocol):
    @property
    def google_domains(self) -> str: ...
    @property
    def microsoft_tenants(self) -> str: ...
    @property
    def microsoft_directory(self) -> str: ...


def headers(host: str, school: HasTenants) -> Mapping[str, str]:
    """What is sent along to a host; nothing where the school has said nothing."""
    if school.google_domains and any(host == each or host.endswith("." + each) for each in GOOGLE):
        return {"X-GoogApps-Allowed-Domains": school.google_domains}
    if school.microsoft_tenants and host in MICROSOFT:
        return {
            "Restrict-Access-To-Tenants": school.microsoft_tenants,
            "Restrict-Access-Context": school.microsoft_directory,
        }
    if school.microsoft_tenants and host == MICROSOFT_PRIVATE:
        return {"sec-Restrict-Tenant-Access-Policy": "restrict-msa"}
    return {}


def domains(text: str) -> str:
    """Domains as they are written in the header; ValueError for what is none. "" for none."""
    found = []
    for piece in re.split(r"[\s,;]+", text):
        if not piece:
            continue
        try:
            host = canonical_host(piece)
        except NameRefused:
            host = ""
        if "." not in host:
            raise ValueError(f"{piece[:60]!r} is not a domain such as oakfield.sch.uk")
        found.append(host)
    return ",".join(dict.fromkeys(found))


def directory(text: str) -> str:
    """Microsoft's number of an organisation; ValueError for what is none."""
    text = text.strip().lower()
    if text and not _DIRECTORY.fullmatch(text):
        raise ValueError(
            "a directory's number looks like 8f4e2c1a-35b2-4c23-b3b3-32360826f3d1, in Microsoft Entra's overview"
        )
    return text
