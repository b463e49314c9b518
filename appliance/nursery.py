"""Where the processes of the box come from: one process that has loaded everything, and forks.

To load mitmproxy, FastAPI and SQLAlchemy takes seconds and tens of megabytes. Done once, here, a process that died is back in
the time of a fork, and all share the pages of what was loaded. The nursery opens no file, holds no secret and runs no code of
a process; it has one thread. A process that it forks is orphaned at once and so becomes the supervisor's own child
(PR_SET_CHILD_SUBREAPER): its end is told to the supervisor whatever has become of the nursery.

The two talk over a SOCK_SEQPACKET socket: "KIND NAME" with one descriptor, standard input and output of the new process,
brings back its number.
"""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
from importlib import import_module
from typing import Final

_LOADED: Final = (
    "appliance.worker", "appliance.wiring", "appliance.streaming", "appliance.receivers", "appliance.updater",
    "appliance.devices.process", "admin_api.app", "admin_api.notices", "dns.server", "monitoring.recorder", "proxy.server",
    "uvicorn",
)  # fmt: skip
_SET_NAME, _CHILD_SUBREAPER = 15, 36
_MESSAGE: Final = 200  # bytes of one request at most


class Hatched:
    """A process that came from the nursery: the supervisor's child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._descriptor = os.pidfd_open(pid)
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._descriptor, self._ended)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        self._over.set_result(self.returncode)

    async def wait(self) -> int:
        """Its exit code once it has ended; -9 when signal 9 ended it."""
        return await asyncio.shield(self._over)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing if it has ended."""
        if self.returncode is None:
            signal.pidfd_send_signal(self._descriptor, number)


class Nursery:
    """The supervisor's end. The process behind it is started when it is needed, and again when it has died."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._closed = False
        _prctl(_CHILD_SUBREAPER, 1)

    async def hatch(self, kind: str, name: str, channel: int) -> Hatched:
        """A new process, with this descriptor as its standard input and output. OSError when there is no getting one."""
        async with self._turn:
            try:
                return await self._hatched(kind, name, channel)
            except OSError:
                await self._end()  # it was killed: one more, from a new one
                if self._closed:
                    raise
                return await self._hatched(kind, name, channel)

    async def _hatched(self, kind: str, name: str, channel: int) -> Hatched:
        if self._closed:
            raise ConnectionAbortedError("everything is being stopped")
        ours = self._socket or await self._begin()
        socket.send_fds(ours, [f"{kind} {name}".encode()], [channel])
        said = await asyncio.get_running_loop().sock_recv(ours, _MESSAGE)
        if not said:
            raise ConnectionResetError("the process that starts the others has ended")
        return Hatched(int(said))

    async def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "appliance.nursery",
                stdin=theirs.fileno(),
                start_new_session=True,  # Ctrl-C reaches the supervisor alone
            )
        if self._closed:  # meanwhile
            self._process.kill()
        self._socket = ours
        return ours

    async def _end(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None
        if self._process:
            await self._process.wait()
            self._process = None

    async def close(self) -> None:
        """Ends the nursery, even while it is still loading, and nothing that came from it. Nothing more comes."""
        self._closed = True
        if self._process and self._process.returncode is None:
            self._process.kill()
        async with self._turn:
            await self._end()


def _prctl(option: int, value: int | bytes) -> None:
    """prctl(2) on this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main() -> int:
    """Load, and fork whenever it is asked for, until the supervisor is gone."""
    for module in _LOADED:
        import_module(module)
    gc.freeze()  # a collection that looks through what is shared would copy it
    with socket.socket(fileno=os.dup(0)) as asked:
        while True:
            message, descriptors, _, _ = socket.recv_fds(asked, _MESSAGE, 1)
            if not message:
                return 0
            kind, name = message.decode().split()
            pid = _forked()
            if pid == 0:
                break
            for each in descriptors:
                os.close(each)
            asked.send(str(pid).encode())
    return _live(kind, name, *descriptors)


def _forked() -> int:
    """0 in the new process, whose parent has gone already; its number in the nursery."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid:
            os.write(writing, str(pid).encode())
            os._exit(0)
        os.close(reading)
        os.close(writing)
        return 0
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        pid = int(file.read())
    os.waitpid(between, 0)
    return pid


def _live(kind: str, name: str, channel: int) -> int:
    from appliance.worker import main as work

    os.setsid()
    _prctl(_SET_NAME, f"schoolgate:{name}".encode()[:15])  # what top and ps show
    os.dup2(channel, 0)
    os.dup2(channel, 1)
    os.close(channel)
    return work(kind, name)


if __name__ == "__main__":
    sys.exit(main())
