"""`python -m tests.hostile`: seeded mutants of valid sources; `make chaos` runs it too."""

import argparse
import random
import sys
from pathlib import Path
from tempfile import mkdtemp

from core.settings import LimitSettings, MediaSettings
from media.tools import find_tools
from tests.hostile import mutants
from tests.hostile.seeds import make_seeds


def main() -> int:
    """Run the mutants; the exit status is 1 when one of them broke a rule, and its file is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None, help="repeats a campaign's mutants")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    folder = Path(mkdtemp(prefix="dailies-mutants-"))
    tools = find_tools(MediaSettings(threads=2))
    seeds = make_seeds(tools, folder)
    tally = mutants.run(
        seeds, tools, LimitSettings(), number=arguments.mutants, seed=seed, folder=folder, jobs=arguments.jobs
    )
    print(tally.table(), flush=True)
    print(f"what broke a rule is kept in {folder}" if tally.broken else "passed")
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
