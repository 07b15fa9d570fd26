"""System calls that no program of a box needs, as a BPF program for bubblewrap and as a profile for Docker.

In: nothing. Out: bytes for `bwrap --seccomp`, JSON for Docker's `--security-opt seccomp=`. Refused with EPERM: what
mounts, makes namespaces, looks into other processes, loads code into the kernel, sets clocks, or talks to the kernel's
key rings; sockets but those of unix, the Internet and netlink; typing into a terminal. `clone3` is refused with ENOSYS,
since a filter cannot see its flags: C libraries then use `clone`. Everything else is allowed. Foreign system call
tables (32-bit and x32 programs) are refused whole. Not for speed, and no replacement for namespaces: it makes the
kernel's surface small.

BPF by hand, because libseccomp is not on every machine: `struct sock_filter` and `struct seccomp_data` of
linux/filter.h and linux/seccomp.h; numbers from the kernel's tables for x86_64 and aarch64.
"""

from __future__ import annotations

import errno
import json
import platform
import struct

DENIED = {
    # name: number on x86_64, on aarch64 (None: not there)
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fanotify_init": (300, 262),
    "quotactl": (179, 60), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142),
    "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162), "vhangup": (153, 58),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18), "move_pages": (279, 239), "mbind": (237, 235), "migrate_pages": (256, 238),
    "set_mempolicy": (238, 237), "get_mempolicy": (239, 236),
}  # fmt: skip
"""System calls that are refused with EPERM, whatever their arguments: name → numbers (x86-64, AArch64)."""
NEW_NAMESPACES = 0x7E020080
"""The flags of clone that make namespaces: CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}."""
FAMILIES = (1, 2, 10, 16)
"""The address families that sockets may have: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK."""
TERMINAL = (0x5412, 0x541C)
"""The ioctl requests TIOCSTI and TIOCLINUX, which put input into a terminal and are refused."""
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_SOCKET = (41, 198)
_IOCTL = (16, 29)
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16


def bpf(machine: str = "") -> bytes:
    """The filter as `bwrap --seccomp` reads it; empty where this machine's system call table is not known."""
    machine = machine or platform.machine()
    if machine not in _ARCH:
        return b""
    which = 0 if machine == "x86_64" else 1
    program = [
        *_unless(_ARCHITECTURE, _EQUAL, (_ARCH[machine],), _refuse(errno.ENOSYS)),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32), _refuse(errno.ENOSYS)]
    program += [(_EQUAL, 0, 1, _CLONE3[which]), _refuse(errno.ENOSYS)]
    program += _argument(_CLONE[which], 0, _ANY_BIT, (NEW_NAMESPACES,), refused=True)
    program += _argument(_SOCKET[which], 0, _EQUAL, FAMILIES, refused=False)
    program += _argument(_IOCTL[which], 1, _EQUAL, TERMINAL, refused=True)
    for numbers in DENIED.values():
        if (number := numbers[which]) is not None:
            program += [(_EQUAL, 0, 1, number), _refuse(errno.EPERM)]
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in program)


def profile() -> str:
    """The same rules as JSON for Docker, which knows system calls by name."""
    eperm = {"action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM}
    namespaces = {"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    rules: list[dict[str, object]] = [
        {"names": sorted(DENIED), **eperm},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
        {"names": ["ioctl"], **eperm, "args": [{"index": 1, "value": TERMINAL[0], "op": "SCMP_CMP_EQ"}]},
        {"names": ["ioctl"], **eperm, "args": [{"index": 1, "value": TERMINAL[1], "op": "SCMP_CMP_EQ"}]},
    ]
    for bit in (1 << n for n in range(32) if NEW_NAMESPACES >> n & 1):
        wanted = {**namespaces, "value": bit, "valueTwo": bit}
        rules.append({"names": ["clone"], **eperm, "args": [wanted]})
    others = [family for family in range(max(FAMILIES)) if family not in FAMILIES]
    for family in others:
        rules.append({"names": ["socket"], **eperm, "args": [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}]})
    above = {"index": 0, "value": max(FAMILIES), "op": "SCMP_CMP_GT"}
    rules.append({"names": ["socket"], **eperm, "args": [above]})
    known = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
    architectures = [name for machine, name in known.items() if machine == platform.machine()]
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures, "syscalls": rules})


Line = tuple[int, int, int, int]


def _refuse(number: int) -> Line:
    return (_RETURN, 0, 0, _ERRNO | number)


def _unless(offset: int, test: int, values: tuple[int, ...], otherwise: Line) -> list[Line]:
    """Load a word; go on when it equals one of the values, else return."""
    tests = [(test, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [(_LOAD, 0, 0, offset), *tests, otherwise]


def _argument(number: int, index: int, test: int, values: tuple[int, ...], *, refused: bool) -> list[Line]:
    """Look at the low word of a call's argument: EPERM when it matches (`refused`) or when nothing matches."""
    at = _ARGUMENTS + 8 * index
    if refused:
        tests: list[Line] = [(test, len(values) - 1 - i, 0, value) for i, value in enumerate(values)]
        # the last test's miss jumps over the refusal
        last = tests.pop()
        inner: list[Line] = [(_LOAD, 0, 0, at), *tests, (last[0], 0, 1, last[3]), _refuse(errno.EPERM)]
    else:
        inner = _unless(at, test, values, _refuse(errno.EPERM))
    reload: Line = (_LOAD, 0, 0, _NUMBER)
    return [(_EQUAL, 0, len(inner), number), *inner, reload]
