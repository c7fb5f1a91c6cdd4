"""The detached supervisor: `python -m deployments.embedded DATA`, started by `dailies up --detach`."""

import sys
from pathlib import Path

from core.errors import DailiesError
from deployments.embedded.assembly import supervise
from deployments.embedded.layout import Layout


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Supervise the stack of the folder named on the command line."""
    try:
        supervise(Layout.of(Path(sys.argv[1])), _say)
    except DailiesError:
        return 1  # stack.json says why, and whoever started us reads it
    return 0


if __name__ == "__main__":
    sys.exit(main())
