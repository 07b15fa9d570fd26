"""Let the C library keep the memory that one step frees, for the next one.

By default glibc maps every tensor above 32 MiB anew and gives freed memory back to the kernel; the pages of the next
one are mapped and cleared again at first touch, which on a CPU takes a tenth of a step's time.
"""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""The numbers of mallopt(3)'s parameters M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_MAX, from malloc.h."""


def keep_memory() -> bool:
    """Make malloc take memory from one heap that only grows, for the rest of this process.

    Returns False where the C library has no mallopt or refuses a setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # No block of its own for a large tensor; never give back the heap's end; grow by 64 MiB more than is asked for.
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
    """struct mallinfo2 of mallinfo2(3); its sizes are in bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip
