"""Gives up, for good, what a process that only parses does not need: files, sockets, other processes, new code.

A filter of system calls (seccomp(2)) lets through what computing, reading an open pipe and writing to one take; every
other call fails with EPERM, and so does making memory executable. Limits on memory and files hold everywhere. The
numbers of the calls are those of x86-64; on another processor only the limits hold.

Source: seccomp(2), bpf(4), linux/audit.h, arch/x86/entry/syscalls/syscall_64.tbl.
"""

import ctypes
import platform
import resource
import struct

MEMORY = 2_000_000_000
"""Bytes of address space."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_AUDIT_ARCH_X86_64 = 0xC000003E
_X32 = 0x40000000
"""Numbers from here on are calls of the x32 interface."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _THIRD = 0, 4, 32
"""Offsets in struct seccomp_data: the call's number, the processor, the low half of the third argument."""

_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1
_PROT_EXEC = 4

_COMPUTING = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25, "madvise": 28, "getpid": 39, "exit": 60,
    "sigaltstack": 131, "gettid": 186, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
    "clock_nanosleep": 230, "exit_group": 231, "getrandom": 318, "rseq": 334,
}  # fmt: skip
_MAPPING = {"mmap": 9, "mprotect": 10}


def seal() -> bool:
    """Seal this process; False where only the limits could be set."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if platform.machine() != "x86_64":
        return False
    code = _program()
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, None, 0, 0) != 0:
        return False
    return int(prctl(_PR_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(header, len(header)), 0, 0)) == 0


def _program() -> bytes:
    """The filter: each instruction is (code, jump if true, jump if false, operand)."""
    allow = (_RETURN, 0, 0, _ALLOW)
    steps = [
        (_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, _AUDIT_ARCH_X86_64), (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _REFUSE),
    ]  # fmt: skip
    for number in _COMPUTING.values():
        steps += [(_EQUAL, 0, 1, number), allow]
    for number in _MAPPING.values():
        steps += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _THIRD), (_ANY_BIT, 1, 0, _PROT_EXEC), allow]
        steps.append((_RETURN, 0, 0, _REFUSE))
    steps.append((_RETURN, 0, 0, _REFUSE))
    return b"".join(struct.pack("HBBI", *step) for step in steps)
