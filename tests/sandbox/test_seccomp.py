"""The filter of system calls, run by an interpreter of classic BPF: what each machine's kernel would answer."""

import errno
import json
import struct

import pytest

from qcode_sandbox.seccomp import docker_profile, filter_program

X86, ARM = 0xC000003E, 0xC00000B7
ALLOW, KILL = 0x7FFF0000, 0x80000000


def answer(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """Of the five instructions that are used, by the rules of linux/filter.h."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    at, held = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        match code:
            case 0x20:
                held = struct.unpack_from("=I", data, value)[0]
            case 0x15 | 0x35 | 0x45:
                met = {0x15: held == value, 0x35: held >= value, 0x45: held & value != 0}[code]
                at += if_true if met else if_false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"instruction {code:#x}")


def refusal(number: int) -> int:
    return 0x00050000 | number


@pytest.mark.parametrize(
    ("machine", "arch", "read", "mount", "clone", "clone3", "socket", "ioctl"),
    [("x86_64", X86, 0, 165, 56, 435, 41, 16), ("aarch64", ARM, 63, 40, 220, 435, 198, 29)],
)
def test_what_is_refused_and_what_is_not(
    machine: str, arch: int, read: int, mount: int, clone: int, clone3: int, socket: int, ioctl: int
) -> None:
    program = filter_program(machine)
    assert answer(program, arch, read) == ALLOW
    assert answer(program, arch, mount) == refusal(errno.EPERM)
    assert answer(program, arch, clone, 0x01200011) == ALLOW, "a fork"
    for bit in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(program, arch, clone, bit | 17) == refusal(errno.EPERM)
    assert answer(program, arch, clone3) == refusal(errno.ENOSYS), "a C library then takes clone"
    for family in range(50):
        expected = ALLOW if family in (1, 2, 10, 16) else refusal(errno.EAFNOSUPPORT)
        assert answer(program, arch, socket, family) == expected
    assert answer(program, arch, ioctl, 0, 0x5413) == ALLOW
    assert answer(program, arch, ioctl, 0, 0x5412) == refusal(errno.EPERM)
    assert answer(program, arch, 463) == refusal(errno.ENOSYS)
    assert answer(program, arch, 0x40000000 | read) == refusal(errno.ENOSYS), "x32"
    assert answer(program, 0x40000003, read) == KILL, "32-bit calls"


def test_a_machine_without_a_table_is_no_filter() -> None:
    with pytest.raises(KeyError):
        filter_program("sparc")


def test_docker_is_given_the_same_table() -> None:
    profile = json.loads(docker_profile())
    names = {name for rule in profile["syscalls"] for name in rule["names"]}
    assert {
        "mount",
        "unshare",
        "keyctl",
        "bpf",
        "ptrace",
        "io_uring_setup",
        "clone",
        "clone3",
        "socket",
        "ioctl",
    } <= names
    families = {
        rule["args"][0]["value"] for rule in profile["syscalls"]
        if "socket" in rule["names"] and rule["args"][0]["op"] == "SCMP_CMP_EQ"
    }  # fmt: skip
    assert families == set(range(16)) - {1, 2, 10}
