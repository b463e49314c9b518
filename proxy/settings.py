"""What one proxy worker is told when it starts. Nothing here can change a decision: those rest on the signed policy."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Read once by appliance/config.py. The comments are the documentation."""

    listen: tuple[tuple[str, str, int], ...]  # (listener name, address, port); port 0: any free one; workers share a port
    confdir: Path  # where the CA's key (0600) and certificate are kept; made by proxy.ca.ensure_ca
    form_key: bytes  # secret shared by the workers: signs the block page's form and the warning page's way on
    desk_url: str  # where staff sign in, for the link on their block page
    secure: tuple[tuple[str, str, int], ...] = ()  # listeners that are reached by TLS, HTTP/2 or HTTP/1.1 under it
    secure_certificate: tuple[Path, Path] | None = None  # theirs, with those above it, and its key
    secure_name: str = ""  # a name in it, by which devices find those that listen on every address
    transparent: tuple[tuple[str, str, int], ...] = ()  # listeners for connections that nftables redirects here
    page: tuple[tuple[str, str, int], ...] = ()  # listeners where DNS leads blocked names: they see the block page
    balancers: tuple[str, ...] = ()  # networks of balancers; explicit listeners take PROXY headers, from them alone
    names: Path | None = None  # on a gateway: the table of names that have addresses of their own (policy/synthetic.py)
    portal_door: Path | None = None  # where to ask who has signed in at the portal (keeper.py); none: nobody can
    portal_name: str = ""  # a public name of the portal, of which devices know the certificate; none: schoolgate.internal
    portal_certificate: Path | None = None  # for that name: a PEM file of the certificate, those above it, and the key
    upstream_ca: str | None = None  # a PEM file of CAs that sites may be signed by, besides the system's own
    inner_networks: tuple[str, ...] = ()  # private addresses that may be connected to: the demo's own little internet
    connect_seconds: float = 10.0  # how long finding and reaching a site may take before the page says it did not answer

    @property
    def all_listeners(self) -> tuple[tuple[str, str, int], ...]:
        return (*self.listen, *self.secure, *self.transparent, *self.page)
