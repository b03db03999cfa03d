"""Which system calls a sandbox refuses: one table, as a profile for Docker and as a filter program for bubblewrap.

The table names what reaches around namespaces and limits: mounting, entering or making namespaces, kernel modules and
keys, BPF, io_uring, other processes' memory, clocks. Only socket families that the network namespace holds are left:
AF_VSOCK, for one, reaches a virtual machine's host from any namespace. Docker's own default profile of the versions
that Debian ships lets io_uring, ptrace and AF_VSOCK through.

The filter is classic BPF over struct seccomp_data (seccomp(2), linux/filter.h); numbers are those of
asm/unistd_64.h and asm-generic/unistd.h.
"""

import errno
import json
import struct
from itertools import pairwise

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""AUDIT_ARCH of a machine, and its column in the table."""

_NEWEST = 462
"""Calls with higher numbers are newer than this table: they are not there (ENOSYS)."""

_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "clock_adjtime": (305, 266),
    "clock_settime": (227, 112), "create_module": (174, None), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fsopen": (430, 430), "fspick": (433, 433), "get_kernel_syms": (177, None), "init_module": (175, 105),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_uring_setup": (425, 425),
    "ioperm": (173, None), "iopl": (172, None), "kcmp": (312, 272), "kexec_file_load": (320, 294),
    "kexec_load": (246, 104), "keyctl": (250, 219), "lookup_dcookie": (212, 18), "mount": (165, 40),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "nfsservctl": (180, 42), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "pivot_root": (155, 41),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "query_module": (178, None), "quotactl": (179, 60), "quotactl_fd": (443, 443), "reboot": (169, 142),
    "request_key": (249, 218), "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268),
    "settimeofday": (164, 170), "swapoff": (168, 225), "swapon": (167, 224), "sysfs": (139, None),
    "_sysctl": (156, None), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97), "uselib": (134, None),
    "userfaultfd": (323, 282), "vhangup": (153, 58),
}  # fmt: skip

_CLONE, _CLONE3, _IOCTL, _SOCKETS = (56, 220), (435, 435), (16, 29), ((41, 198), (53, 199))
_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET (linux/sched.h)."""
_FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: getaddrinfo(3) asks the last for the machine's addresses."""
_TYPING_FOR_OTHERS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX (asm-generic/ioctls.h) put characters into a terminal's input."""

_LOAD, _JUMP_EQUAL, _JUMP_FROM, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def docker_profile() -> str:
    """The value of Docker's security option `seccomp=`."""

    def refuse(names: list[str], *, error: int = errno.EPERM, **more: object) -> dict[str, object]:
        return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": error, **more}

    def compare(index: int, operation: str, value: int, second: int = 0) -> list[dict[str, object]]:
        return [{"index": index, "value": value, "valueTwo": second, "op": f"SCMP_CMP_{operation}"}]

    sockets = ["socket", "socketpair"]
    gaps = [(low + 1, high - 1) for low, high in pairwise(_FAMILIES) if high - low > 1]
    between = [family for low, high in gaps for family in range(low, high + 1)]
    rules = [
        refuse([*_REFUSED, "vm86", "vm86old", "stime", "umount"]),
        refuse(["clone3"], error=errno.ENOSYS),
        # libseccomp joins conditions on one argument by AND, so each bit and each family is a rule of its own.
        *(
            refuse(["clone"], args=compare(0, "MASKED_EQ", 1 << bit, 1 << bit))
            for bit in range(32)
            if _NEW_NAMESPACES >> bit & 1
        ),
        *(refuse(["ioctl"], args=compare(1, "EQ", request)) for request in _TYPING_FOR_OTHERS),
        *(refuse(sockets, error=errno.EAFNOSUPPORT, args=compare(0, "EQ", family)) for family in (0, *between)),
        refuse(sockets, error=errno.EAFNOSUPPORT, args=compare(0, "GT", _FAMILIES[-1])),
    ]
    # Not the 32-bit calls of the same machine: their `socketcall` hides its arguments from a filter. They kill.
    architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures, "syscalls": rules})


def filter_program(machine: str) -> bytes:
    """What `bwrap --seccomp` reads, for a machine as os.uname() names it. Raises: KeyError for one not in the table."""
    arch, column = _MACHINES[machine]
    refused = [numbers[column] for numbers in _REFUSED.values()]
    code = [
        _step(_LOAD, _ARCH),
        _step(_JUMP_EQUAL, arch, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        # Above are also the calls of x86's x32, which would have other numbers for the same.
        *_answer(_JUMP_FROM, _NEWEST + 1, errno.ENOSYS),
        *(step for number in refused if number is not None for step in _answer(_JUMP_EQUAL, number, errno.EPERM)),
        *_answer(_JUMP_EQUAL, _CLONE3[column], errno.ENOSYS),
        *_for_call(_CLONE[column], _argument(0), _answer(_JUMP_BITS, _NEW_NAMESPACES, errno.EPERM)),
        *_for_call(
            _IOCTL[column],
            _argument(1),
            [step for request in _TYPING_FOR_OTHERS for step in _answer(_JUMP_EQUAL, request, errno.EPERM)],
        ),
    ]
    families = [_step(_JUMP_EQUAL, family, len(_FAMILIES) - at, 0) for at, family in enumerate(_FAMILIES)]
    for call in _SOCKETS:
        code += _for_call(call[column], _argument(0), [*families, _step(_RETURN, _ERROR | errno.EAFNOSUPPORT)])
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """struct sock_filter; jumps count the steps that are left out."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _answer(jump: int, value: int, error: int) -> list[bytes]:
    return [_step(jump, value, 0, 1), _step(_RETURN, _ERROR | error)]


def _argument(index: int) -> bytes:
    """Load the lower half of an argument, which is all that the kernel takes of these."""
    return _step(_LOAD, _ARGUMENTS + 8 * index)


def _for_call(number: int, load: bytes, body: list[bytes]) -> list[bytes]:
    """Steps for one call only; those that none of them answers are allowed."""
    steps = [load, *body, _step(_RETURN, _ALLOW)]
    return [_step(_JUMP_EQUAL, number, 0, len(steps)), *steps]
