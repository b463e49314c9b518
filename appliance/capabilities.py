"""What a process of ours gives up at its start: the right to change the machine's network, which one alone keeps."""

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Final

NET_ADMIN: Final = 12
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _AMBIENT_LOWER = 24, 47, 3
_VERSION_3: Final = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def give_up(capability: int = NET_ADMIN) -> None:
    """For this process and all that it starts, and for good. What it does not have it cannot lose."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_LOWER, capability, 0, 0)
    libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # needs CAP_SETPCAP; without it a program of ours has none to gain
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    if libc.capget(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    half, bit = sets[capability // 32], ~(1 << capability % 32)
    half.effective, half.permitted, half.inheritable = half.effective & bit, half.permitted & bit, half.inheritable & bit
    if libc.capset(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def has(pid: int, capability: int = NET_ADMIN) -> bool:
    """Can a process use a capability? No for one that is not there."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> capability & 1)
    return False
