"""The filter as the kernel's own interpreter would run it, by an interpreter of four instructions in Python."""

from __future__ import annotations

import errno
import json
import struct

import pytest

from katcore.sandbox import seccomp

X86, ARM = 0xC000003E, 0xC00000B7
ALLOW = 0x7FFF0000
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


def verdict(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What a BPF program says about a system call (linux/filter.h)."""
    lines = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(*arguments, *[0] * (6 - len(arguments))))
    at = accumulator = 0
    while True:
        code, yes, no, value = lines[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return int(value)
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += yes if holds else no


@pytest.mark.parametrize(
    ("machine", "architecture", "numbers"),
    [
        (
            "x86_64",
            X86,
            {"read": 0, "clone": 56, "clone3": 435, "socket": 41, "ioctl": 16, "mount": 165, "ptrace": 101},
        ),
        (
            "aarch64",
            ARM,
            {"read": 63, "clone": 220, "clone3": 435, "socket": 198, "ioctl": 29, "mount": 40, "ptrace": 117},
        ),
    ],
)
def test_what_is_refused(machine: str, architecture: int, numbers: dict[str, int]) -> None:
    program = seccomp.bpf(machine)

    def ask(name: str, *arguments: int) -> int:
        return verdict(program, architecture, numbers[name], *arguments)

    assert ask("read", 0) == ALLOW and ask("mount") == EPERM and ask("ptrace") == EPERM
    assert ask("clone", 0x11) == ALLOW and ask("clone", 0x3D0F00) == ALLOW, "processes and threads"
    assert {ask("clone", 1 << bit) for bit in (7, 17, 25, 26, 27, 28, 29, 30)} == {EPERM}, "new namespaces"
    assert ask("clone3", 0) == ENOSYS
    assert [ask("socket", family) for family in (1, 2, 10, 16)] == [ALLOW] * 4
    assert {ask("socket", family) for family in (3, 9, 17, 31, 38, 40, 44)} == {EPERM}
    assert ask("ioctl", 0, 0x5401) == ALLOW and ask("ioctl", 0, 0x5412) == EPERM and ask("ioctl", 0, 0x541C) == EPERM
    assert verdict(program, 0x40000003, 0) == ENOSYS, "another table of system calls"


def test_the_other_table_of_x86_64() -> None:
    assert verdict(seccomp.bpf("x86_64"), X86, 0x40000000 | 101) == ENOSYS


def test_an_unknown_machine_has_no_filter() -> None:
    assert seccomp.bpf("riscv64") == b""


def test_dockers_profile_says_the_same() -> None:
    said = json.loads(seccomp.profile())
    whole = {name for rule in said["syscalls"] if "args" not in rule for name in rule["names"]}
    assert whole == {*seccomp.DENIED, "clone3"} and said["defaultAction"] == "SCMP_ACT_ALLOW"
    families = {rule["args"][0]["value"] for rule in said["syscalls"] if rule["names"] == ["socket"]}
    assert families == {*range(17)} - {1, 2, 10, 16} | {16}, "each below the last one, and all above it"
