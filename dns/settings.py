"""What the resolver needs to know that decides nothing: where to listen, whom to ask, and its bounds."""

import ipaddress
from dataclasses import dataclass

from dns.servers import Given, server
from dns.steering import Steered

LONGEST_WAIT_S = 4.5  # a client gives up after five seconds, and must have had its answer by then


@dataclass(frozen=True, slots=True)
class Settings:
    """One comment a field; that comment is the documentation."""

    # Addresses and ports to answer on, UDP and TCP alike. Port 0: one that is free.
    listen: tuple[tuple[str, int], ...]
    # Resolvers that are asked for names that may be resolved, best first: servers.py says how they are written.
    upstreams: tuple[Given, ...]
    # Where a blocked name leads when the school chose the block page, and where schoolgate.internal is.
    page_addresses: tuple[str, ...] = ("127.0.0.1",)
    # Seconds after which a resolver that has not answered counts as failed.
    timeout_s: float = 1.1
    # How many tries a query has in all, at one resolver or several; all of them end after so many times `timeout_s`.
    tries: int = 4
    # Bytes of memory for upstream answers in each worker.
    cache_bytes: int = 24 << 20
    # Seconds for which an answer is kept at least and at most, whatever its owner says; the most for what does not exist.
    keep_min_s: int = 0
    keep_max_s: int = 86_400
    keep_absent_max_s: int = 3_600
    # Seconds after its time for which an answer may still be given when no resolver can be reached (RFC 8767); 0: never.
    stale_s: int = 86_400
    # Seconds that a client waits for a resolver when there is a stale answer for it.
    stale_after_s: float = 1.8
    # Finished replies kept in memory by each worker: one a profile, name and type, so more than the answers.
    reply_entries: int = 200_000
    # Seconds that a client may keep the answer for a blocked name: short, so that an approval is felt at once.
    ttl_block_s: int = 5
    # The most seconds that a client may keep the answer for an allowed name: after that a new rule is felt everywhere.
    ttl_allow_max_s: int = 60
    # Private networks that names may point into, as prefixes; other private addresses in an answer are refused.
    inner_networks: tuple[str, ...] = ()
    # Zones that resolvers of the school's own are asked for, and those resolvers: its AD, its private reverse zones.
    forward: tuple[tuple[str, tuple[Given, ...]], ...] = ()
    # Names of the school's own network and their addresses; the address leads back to the name.
    hosts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    # Are names that look like data in names refused? They are told of either way.
    block_tunnels: bool = False
    # A folder where the names that were asked for are remembered as hashes, to tell a newly seen one; none: until the end.
    names_folder: str = ""
    # A UNIX socket where `schoolgate explain --dns` asks; none: nobody can.
    explain_socket: str = ""
    # Upstream questions under way at once in each worker (each holds a socket a try); more wait for their turn.
    asking_at_once: int = 200
    # Queries waiting for an upstream at once in each worker; more are answered SERVFAIL.
    waiting_at_most: int = 4_000
    # Addresses and ports of DNS over TLS (RFC 7858) and over HTTPS (RFC 8484). Both need a certificate.
    dot_listen: tuple[tuple[str, int], ...] = ()
    doh_listen: tuple[tuple[str, int], ...] = ()
    # Files of the certificate (with its chain) and its key, in PEM.
    certificate: tuple[str, str] | None = None
    # Balancers, as prefixes, whose every packet and connection begins with a PROXY header that says whom it is from.
    balancers: tuple[str, ...] = ()
    # What cookies are made with (RFC 7873): the same in all workers of a box. None: each makes its own.
    cookie_key: bytes = b""
    # UDP replies of more than 512 bytes that one address gets a second without a cookie; then it is told to come by TCP.
    large_replies_s: int = 200
    # Queries a second that one address may send by UDP; every second one over it is told to come by TCP. 0: no limit.
    client_queries_s: int = 0
    # Seconds for which the next UDP packet is looked for without sleeping, while they come as closely (busypoll.py). 0: none.
    busy_poll_s: float = 0.0
    # On a gateway: for which networks the kernel is steered, and where the process is that does it. None: no gateway.
    steered: Steered | None = None
    # "Refused" that an address of no school is told a second; further queries from it are passed over.
    refusals_s: int = 20
    # Connections open at once in each worker; one more, and the one that was silent for longest is closed.
    tcp_connections: int = 1_000
    # Connections that one address may have open at once in each worker; more are closed at the door.
    tcp_per_client: int = 100
    # Queries under way at once on one TCP connection; more are read when one is done.
    tcp_pipelined: int = 64
    # Seconds after which a TCP connection without a query, or that reads no answers, is closed.
    tcp_idle_s: float = 10.0
    # The same for connections by TLS and HTTPS, which cost more to open.
    tls_idle_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.listen:
            raise ValueError("DNS has no address to listen on")
        if not self.upstreams:
            raise ValueError("DNS has no upstream resolver to ask")
        if not 0 < self.timeout_s * self.tries <= LONGEST_WAIT_S:
            raise ValueError(f"DNS: {self.tries} tries of {self.timeout_s} s must come to at most {LONGEST_WAIT_S} s")
        if (self.dot_listen or self.doh_listen) and not self.certificate:
            raise ValueError("DNS over TLS and over HTTPS need a certificate")
        addresses = (*self.listen, *self.dot_listen, *self.doh_listen)
        for text in (*(host for host, _ in addresses), *self.page_addresses):
            ipaddress.ip_address(text)  # ValueError with the text
        for given in (*self.upstreams, *(each for _, servers in self.forward for each in servers)):
            server(given)
        if not 0 <= self.keep_min_s <= self.keep_max_s:
            raise ValueError(f"DNS: answers cannot be kept at least {self.keep_min_s} s and at most {self.keep_max_s} s")
        for text in (*self.inner_networks, *self.balancers):
            ipaddress.ip_network(text)
