"""Addresses that stand for names: one name, one address, of a range that only the box routes, to its proxy.

A name whose pages must be seen is not told by its real address, which it may share with a thousand others, but by an address
of its own. So what the client then connects to says which name it asked for, whatever its greeting hides.

The table is one file of lines `number name`; the process that steers writes it, resolvers and proxies read on from where they
were. A number is an address of both families. A later line takes a number from an earlier name: there are 131,070 of them,
and they are given out in turn, so an address that a client may still remember is not given to another name soon.
"""

import os
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Final

FOUR: Final = IPv4Network("198.18.0.0/15")  # RFC 2544: for tests of networks, never routed in the internet
SIX: Final = IPv6Network("fd73:6368:6f6f:6c67::/64")  # a unique local range, RFC 4193
NUMBERS: Final = FOUR.num_addresses - 2  # the first is 1


def addresses(number: int) -> tuple[str, str]:
    """The IPv4 and the IPv6 address of a number."""
    if not 0 < number <= NUMBERS:
        raise ValueError(f"{number} is no number of a name")
    return str(IPv4Address(int(FOUR.network_address) + number)), str(IPv6Address(int(SIX.network_address) + number))


def number_of(address: str) -> int:
    """The number that an address stands for; 0: it is no address of ours. ValueError: it is none at all."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    network = FOUR if isinstance(ip, IPv4Address) else SIX
    if ip not in network:
        return 0
    number = int(ip) - int(network.network_address)
    return number if number <= NUMBERS else -1  # of the range, but nobody's: -1 is no name's number either


class Names:
    """The table as one process has read it."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._rest, self._file = path, 0, b"", 0
        self._names: dict[int, str] = {}

    def of(self, address: str) -> str | None:
        """The name behind an address of ours; "" when nobody has it (any more); None when it is not of our range."""
        number = number_of(address)
        if number == 0:
            return None
        self._read_on()  # each time: the number may be another name's by now
        return self._names.get(number, "")

    def all(self) -> dict[int, str]:
        self._read_on()
        return self._names

    def _read_on(self) -> None:
        """What was written since. Another file in the place of the old one is read from its beginning."""
        try:
            told = self._path.stat()
            if (told.st_ino, told.st_size) == (self._file, self._at):
                return
            with self._path.open("rb") as file:
                number = os.fstat(file.fileno()).st_ino
                if number != self._file:
                    self._file, self._at, self._rest, self._names = number, 0, b"", {}
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            digits, _, name = line.partition(b" ")
            if digits.isdigit() and name:
                self._names[int(digits)] = name.decode("ascii", "replace")
