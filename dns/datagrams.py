"""UDP in batches: one system call takes what has come, one sends all the replies.

Why not the event loop's own datagrams: in interleaved runs on one core, beside dnsmasq as 1.00, batches answered 0.86 queries
a CPU-second, a loop of recvfrom and sendto 0.56, uvloop's callback for each packet 0.53. The others pay two system calls and
an address made into a tuple of text for each packet, and write each event alone. recvmmsg is called through ctypes, since
a compiled helper would need a compiler at each installation, and since there is one call for up to 64 packets.

The buffers are anonymous mappings: a slice of one is a `bytes` in one step, which a slice of a bytearray is not.

On a wildcard address (0.0.0.0 or ::) the kernel also says to which of our addresses a packet came, and the reply leaves from
there: a client takes an answer from no other address.
"""

import ctypes
import errno
import mmap
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final

AT_ONCE: Final = 64  # packets; a batch whose replies are ready is answered in well under a millisecond
LARGEST: Final = 4096  # of a query; one that is cut off here is malformed
_LONGEST: Final = 65_536  # of a reply
_PLACE: Final = LARGEST + 320  # from one packet's place to the next: no power of two, or all would share a few cache lines
_NAME: Final = 28  # struct sockaddr_in6
_CONTROL: Final = 64
_MSG_DONTWAIT: Final = 0x40
_IP_PKTINFO: Final = 8
_IPV6_RECVPKTINFO: Final = 49


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr: with the length that was received."""

    _anonymous_ = ("header",)
    _fields_ = (("header", _Header), ("received", ctypes.c_uint32))


_WORD: Final = ctypes.sizeof(ctypes.c_uint32)
_STEP: Final = ctypes.sizeof(_Message) // _WORD
_RECEIVED: Final = _Message.received.offset // _WORD
# PyDLL keeps the interpreter's lock, since no call here waits for anything (MSG_DONTWAIT). To let go of it for two
# microseconds would give it to the thread that loads a policy, for up to a millisecond each time.
_libc = ctypes.PyDLL(None, use_errno=True)


def _call(name: str) -> Callable[..., int]:
    function: Callable[..., int] = getattr(_libc, name)
    return function


class Batches:
    """One UDP socket's packets, a batch at a time. `sources` and replies go by the same order."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._fd = sock, sock.fileno()
        six = sock.family == socket.AF_INET6
        self._name_length = _NAME if six else 16
        self._address = (8, 24) if six else (4, 8)  # where it stands in a struct sockaddr_in6 or sockaddr_in
        self._used = 0  # messages of the last batch
        self._bytes_in, self._bytes_out = mmap.mmap(-1, AT_ONCE * _PLACE), mmap.mmap(-1, AT_ONCE * _LONGEST)
        self._names, self._controls = mmap.mmap(-1, AT_ONCE * _NAME), mmap.mmap(-1, AT_ONCE * _CONTROL)
        self._wild = sock.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104 - looked at, not listened on
        if self._wild and six:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        elif self._wild:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        # Kept here, since the kernel is given their addresses.
        self._iov_in, self._iov_out = (_IoVec * AT_ONCE)(), (_IoVec * AT_ONCE)()
        self._in = self._messages(self._iov_in, self._bytes_in, _PLACE)
        self._out = self._messages(self._iov_out, self._bytes_out, 0)  # `send` says where each reply stands
        self._words_in = memoryview(self._in).cast("B").cast("I")
        self._words_out = memoryview(self._iov_out).cast("B").cast("L")  # address and length in turn; size_t
        self._bytes_at = _address_of(self._bytes_out)
        self._receive, self._send = _call("recvmmsg"), _call("sendmmsg")
        self._in_at = ctypes.c_void_p(ctypes.addressof(self._in))
        self._out_at = ctypes.addressof(self._out)
        self.unsent = 0  # replies that the kernel would not take: its buffer is full, or nobody can be there (port 0)

    def _messages(self, iov: ctypes.Array[_IoVec], buffer: mmap.mmap, step: int) -> ctypes.Array[_Message]:
        messages = (_Message * AT_ONCE)()
        data, names, controls = map(_address_of, (buffer, self._names, self._controls))
        for number, message in enumerate(messages):
            iov[number].base, iov[number].length = data + number * step, LARGEST
            message.name, message.name_length = names + number * _NAME, self._name_length
            message.iov, message.iov_length = ctypes.addressof(iov) + number * ctypes.sizeof(_IoVec), 1
            if self._wild:  # where a packet came to is where its reply leaves from: one place for both
                message.control, message.control_length = controls + number * _CONTROL, _CONTROL
        return messages

    def receive(self, at_most: int = AT_ONCE) -> list[tuple[bytes, bytes]]:
        """What has come, each packet with its sender's address; empty when nothing waits. OSError as sockets raise it."""
        if self._wild:
            for message in self._in[: self._used]:
                message.control_length = _CONTROL  # the kernel has written there how much it used
        count = self._receive(self._fd, self._in_at, at_most, _MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EINTR):
                return []
            raise OSError(number, os.strerror(number))
        self._used = count
        data, names, lengths = self._bytes_in, self._names, self._words_in
        at, word, (start, end) = 0, _RECEIVED, self._address
        found = []
        for _ in range(count):
            found.append((data[at : at + lengths[word]], names[start:end]))
            at, word, start, end = at + _PLACE, word + _STEP, start + _NAME, end + _NAME
        return found

    def sender(self, number: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """Where packet `number` of this batch came from, as `sendto` takes it: for a reply that has to wait."""
        name = self._names[number * _NAME : (number + 1) * _NAME]
        port = int.from_bytes(name[2:4])
        if self._name_length == _NAME:
            scope = struct.unpack_from("=I", name, 24)[0]
            return socket.inet_ntop(socket.AF_INET6, name[8:24]), port, 0, scope
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port

    def send(self, replies: Sequence[bytes | None]) -> None:
        """Reply to the packets of this batch; None: not, or not yet. All are copied at once, one behind the other."""
        out, words, base, at, word = self._bytes_out, self._words_out, self._bytes_at, 0, 0
        for reply in replies:
            if reply:
                size = len(reply)
                out[at : at + size] = reply
                words[word], words[word + 1] = base + at, size
                at += size
            word += 2
        first = 0
        while None in replies[first:]:
            place = replies.index(None, first)
            self._send_from(first, place)
            first = place + 1
        self._send_from(first, len(replies))

    def _send_from(self, first: int, last: int) -> None:
        if self._wild:
            for number in range(first, last):
                self._out[number].control_length = self._in[number].control_length
        while first < last:
            messages = ctypes.c_void_p(self._out_at + first * ctypes.sizeof(_Message))
            sent = self._send(self._fd, messages, last - first, _MSG_DONTWAIT)
            if sent < last - first:  # it stops at the first that cannot be sent; that one is lost, as packets may be
                self.unsent += 1
                sent = max(sent, 0) + 1
            first += sent


def _address_of(buffer: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
