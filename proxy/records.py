"""TLS's records in buffers that a worker has once, where pyOpenSSL makes a fresh buffer and a fresh object for each record.

They are empty between events: whatever is in them is taken out before anybody else is called.
"""

import threading
from typing import Any

from OpenSSL import SSL

from proxy.reach import LARGEST_PIECE

lib: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001
ffi: Any = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001


class Space(threading.local):
    """The buffers of a worker: of its thread, since OpenSSL works while other threads run."""

    def __init__(self) -> None:
        self.came = memoryview(bytearray(LARGEST_PIECE))
        self.came_at = ffi.from_buffer(self.came)
        self.opened_at, self.sealed_at = ffi.new("char[]", LARGEST_PIECE), ffi.new("char[]", LARGEST_PIECE)
        self.opened, self.sealed = ffi.buffer(self.opened_at), ffi.buffer(self.sealed_at)


space = Space()


def opened(tls: Any, most: int = LARGEST_PIECE) -> tuple[int, int]:
    """How many bytes are opened now, at most so many; and what OpenSSL said at the end, above 0 when there may be more."""
    ssl, at, count, said = tls._ssl, space.opened_at, 0, 1  # noqa: SLF001
    while count < most:
        said = lib.SSL_read(ssl, at + count, most - count)
        if said <= 0:
            break
        count += said
    return count, said


def ended(tls: Any, said: int) -> bool:
    """Is what `opened` said at the end that nothing more comes: a farewell, an alert, or something that is no TLS?"""
    if said > 0 or lib.SSL_get_error(tls._ssl, said) == lib.SSL_ERROR_WANT_READ:  # noqa: SLF001
        return False
    lib.ERR_clear_error()  # there is one list for a thread, and the next connection's words are looked for in it
    return True


def seal(tls: Any, at: Any, count: int) -> None:
    """Into its own buffer, which takes all, one record at a time."""
    ssl, write = tls._ssl, lib.SSL_write  # noqa: SLF001
    while count:
        done = write(ssl, at, count)
        if done <= 0:
            tls._raise_ssl_error(ssl, done)  # noqa: SLF001
            raise ConnectionError
        at, count = at + done, count - done


def to_send(tls: Any) -> bytes:
    """What TLS has to say to its other end."""
    bio, at, parts = tls._from_ssl, space.sealed_at, []  # noqa: SLF001
    while (count := lib.BIO_read(bio, at, LARGEST_PIECE)) > 0:
        parts.append(space.sealed[:count])
    return parts[0] if len(parts) == 1 else b"".join(parts)
