"""Become another program after giving up rights: `python -I -S confined_exec.py POLICY PROGRAM ARGS…`.

Run as a script in a fresh interpreter, never imported by the product: what it does to itself cannot be
undone, and doing it between fork and exec of a threaded process (preexec_fn) can deadlock.
"""

import ctypes
import json
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the thread that started us ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def main() -> None:
    """Apply the policy, then exec."""
    policy = json.loads(sys.argv[1])
    die_with_parent(policy["parent"])
    # Python ignores SIGPIPE, and exec would hand that on.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 no shell is the point
    except OSError as error:
        sys.stderr.write(f"{sys.argv[2]} cannot be run: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
