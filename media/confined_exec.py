"""Become another program after giving up rights; media/jail.py starts it.

It runs in a fresh interpreter, never in the product's: what it does to itself cannot be undone, and doing it
between fork and exec of a threaded process (preexec_fn) can deadlock. Without a program it tries each layer of
the policy in a child and says as JSON which of them hold.

Every media process begins here, so it imports only what each of them needs: `json`, `signal`, `socket`,
`platform` and `typing` would more than double what it takes.

Numbers are from the Linux headers: prctl.h, landlock.h, seccomp.h, audit.h, filter.h, signal.h.
"""

import ctypes
import marshal
import os
import resource
import stat
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    #: Names of layers, the parent's number, limits, the paths that may be read, written, run and driven as devices,
    #: and one that may not be read.
    Policy = dict[str, Any]

SIGKILL, SIGPIPE = 9, 13
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2

LANDLOCK_CREATE, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_VERSION_FLAG, LANDLOCK_PATH_BENEATH = 1, 1
FS_EXECUTE, FS_WRITE, FS_READ, FS_READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
FS_REMOVE_DIR, FS_REMOVE_FILE, FS_MAKE_DIR, FS_MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
FS_REFER, FS_TRUNCATE, FS_IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
NET_BIND_AND_CONNECT, SCOPE_SOCKETS_AND_SIGNALS = 0b11, 0b11
ABI_REFER, ABI_TRUNCATE, ABI_NET, ABI_IOCTL, ABI_SCOPE = 2, 3, 4, 5, 6

#: Programs and their libraries; never the whole of /etc or /home.
SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/nix/store", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/fonts", "/sys/devices/system/cpu", "/proc/cpuinfo",
    "/proc/meminfo", "/dev/urandom", "/dev/random", "/dev/zero",
)  # fmt: skip

#: Per machine: its number in audit.h, and what is refused: sockets and ways around them (io_uring), looking into
#: other processes, the kernel's own tools, and names for files that no path rule sees.
REFUSED = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41, "socketpair": 53, "io_uring_setup": 425, "ptrace": 101, "process_vm_readv": 310,
            "process_vm_writev": 311, "pidfd_getfd": 438, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
            "keyctl": 250, "add_key": 248, "request_key": 249, "mount": 165, "umount2": 166, "pivot_root": 155,
            "chroot": 161, "unshare": 272, "setns": 308, "kexec_load": 246, "init_module": 175, "finit_module": 313,
            "delete_module": 176, "open_by_handle_at": 304, "reboot": 169, "swapon": 167, "swapoff": 168,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "socket": 198, "socketpair": 199, "io_uring_setup": 425, "ptrace": 117, "process_vm_readv": 270,
            "process_vm_writev": 271, "pidfd_getfd": 438, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
            "keyctl": 219, "add_key": 217, "request_key": 218, "mount": 40, "umount2": 39, "pivot_root": 41,
            "chroot": 51, "unshare": 97, "setns": 268, "kexec_load": 104, "init_module": 105, "finit_module": 273,
            "delete_module": 106, "open_by_handle_at": 265, "reboot": 142, "swapon": 224, "swapoff": 225,
        },
    ),
}  # fmt: skip
X32_BIT = 0x40000000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 1  # the last: errno EPERM


def checked(result: int, what: str) -> int:
    """Raise with errno where the kernel said no."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def libc() -> ctypes.CDLL:
    """The C library, keeping errno."""
    return ctypes.CDLL(None, use_errno=True)


def prctl(option: int, first: int, second: "int | ctypes.c_void_p" = 0) -> None:
    """Change what the kernel thinks of this process."""
    checked(libc().prctl(option, ctypes.c_ulong(first), second, 0, 0), f"prctl {option}")


def parent_death(policy: "Policy") -> None:
    """Ask for SIGKILL when the thread that started us ends."""
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != policy["parent"]:  # it ended before we asked
        os._exit(1)


def rlimits(policy: "Policy") -> None:
    """Bound memory, file size, open files and core dumps; never above what we have."""
    for name, wanted in policy["limits"].items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(number, (value, value))


def no_new_privs(_: "Policy") -> None:
    """Make set-user-id programs powerless."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def landlock(policy: "Policy") -> None:
    """Open the system and the inputs for reading, the output folder for writing, devices that are named, and nothing else."""
    call = libc().syscall
    abi = checked(call(LANDLOCK_CREATE, None, ctypes.c_size_t(0), LANDLOCK_VERSION_FLAG), "landlock")
    files = (1 << 13) - 1
    files |= FS_REFER if abi >= ABI_REFER else 0
    files |= FS_TRUNCATE if abi >= ABI_TRUNCATE else 0
    files |= FS_IOCTL_DEV if abi >= ABI_IOCTL else 0
    fields = [files]
    fields += [NET_BIND_AND_CONNECT] if abi >= ABI_NET else []
    fields += [SCOPE_SOCKETS_AND_SIGNALS] if abi >= ABI_SCOPE else []
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    rules = checked(call(LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0), "landlock_create_ruleset")
    writing = (
        FS_WRITE | FS_READ | FS_READ_DIR | FS_REMOVE_FILE | FS_REMOVE_DIR | FS_MAKE_DIR | FS_MAKE_REG | FS_TRUNCATE
    )
    grants = [(path, FS_EXECUTE | FS_READ | FS_READ_DIR) for path in (*SYSTEM, *policy["programs"])]
    grants += [(path, FS_READ | FS_READ_DIR) for path in policy["read"]]
    grants += [(path, writing) for path in policy["write"]] + [("/dev/null", FS_READ | FS_WRITE)]
    grants += [(path, FS_READ | FS_WRITE | FS_IOCTL_DEV) for path in policy["devices"]]
    for path, access in grants:
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # not on this machine, so nothing to open
        possible = files
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            possible &= FS_EXECUTE | FS_READ | FS_WRITE | FS_TRUNCATE | FS_IOCTL_DEV
        rule = struct.pack("=Qi", access & possible, handle)
        checked(call(LANDLOCK_ADD_RULE, rules, LANDLOCK_PATH_BENEATH, rule, 0), f"landlock_add_rule {path}")
        os.close(handle)
    checked(call(LANDLOCK_RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)


def seccomp(policy: "Policy") -> None:
    """Refuse sockets and other system calls that no decoder needs."""
    machine = os.uname().machine
    if machine not in REFUSED:
        raise OSError(38, f"no list of system calls for {machine}")
    architecture, numbers = REFUSED[machine]
    steps = [
        (LOAD, 0, 0, 4),  # seccomp_data.arch
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),  # system calls of another machine have other numbers
        (LOAD, 0, 0, 0),  # seccomp_data.nr
        (JUMP_AT_LEAST, len(numbers) + 1, 0, X32_BIT),
    ]
    steps += [(JUMP_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers.values())]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL if policy["ends_on_refusal"] else REFUSE)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(held)))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_void_p(ctypes.addressof(program)))


LAYERS = {
    "parent-death": parent_death,
    "rlimits": rlimits,
    "no-new-privs": no_new_privs,
    "landlock": landlock,
    "seccomp": seccomp,
}


def holds(layer: str, policy: "Policy") -> None:
    """Apply one layer to this process and try what it forbids; raises where it does not hold."""
    if layer in {"landlock", "seccomp"}:
        no_new_privs(policy)
    LAYERS[layer](policy)
    if layer == "landlock":
        try:
            os.close(os.open(policy["outside"], os.O_RDONLY))
        except PermissionError:
            return
        raise OSError(0, "a file outside could be read")
    if layer == "seccomp":
        import socket

        try:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        except PermissionError:
            return
        raise OSError(0, "a socket could be made")


def probe(policy: "Policy") -> None:
    """Try each layer in a child of its own; print what is wrong with it, nothing where it holds."""
    import json

    said = {}
    for layer in policy["layers"]:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                holds(layer, {**policy, "parent": os.getppid()})
            except Exception as error:  # noqa: BLE001 whatever it is, it is the answer
                os.write(writer, str(error).encode() or b"failed")
            os._exit(0)
        os.close(writer)
        said[layer] = os.read(reader, 4096).decode()
        os.close(reader)
        _, status = os.waitpid(child, 0)
        said[layer] = said[layer] or ("" if status == 0 else f"ended with status {status}")
    sys.stdout.write(json.dumps(said))


def main(arguments: "Sequence[str]") -> None:
    """Apply the policy, then exec; fail closed where a layer that was promised does not work.

    Args:
        arguments: the policy, marshalled, in hexadecimal digits; then the program and its arguments.
    """
    layer = "its policy"
    try:
        policy, *command = arguments
        policy = marshal.loads(bytes.fromhex(policy))  # noqa: S302 our own parent wrote it
        if not command:
            probe(policy)
            return
        for layer in policy["layers"]:
            LAYERS[layer](policy)
    except Exception as error:  # noqa: BLE001 any other end could be taken for the program's own verdict
        sys.stderr.write(f"the jail cannot be closed ({layer}): {type(error).__name__}: {error}\n")
        sys.exit(126)
    # Python ignores SIGPIPE, and exec would hand that on.
    libc().signal(SIGPIPE, ctypes.c_void_p(0))
    try:
        os.execv(command[0], command)  # noqa: S606 no shell is the point
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be run: {error.strerror}\n")
        sys.exit(127)
