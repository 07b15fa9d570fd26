"""Let the C library keep the memory that one step frees, for the next one.

By default glibc maps every tensor above 32 MiB anew and gives freed memory back to the kernel; the pages of the next
one are mapped and cleared again at first touch, which on a CPU takes a tenth of a step's time.
"""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Of mallopt(3)."""


def keep_memory() -> bool:
    """For the rest of this process: take memory from one heap that only grows. False where there is no mallopt."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all(mallopt(option, value) for option, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, -1), (TOP_PAD, 64 << 20)))


def kept_bytes() -> int:
    """Bytes that the C library's heap holds and nobody uses; 0 where it does not tell."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return 0
    ask.restype = _Mallinfo
    return int(ask().fordblks)


class _Mallinfo(ctypes.Structure):
    """mallinfo2(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip
