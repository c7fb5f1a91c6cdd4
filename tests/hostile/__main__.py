"""`python -m tests.hostile`: seeded mutants of valid sources, and the files of a folder; `make chaos` makes the mutants."""

import argparse
import random
import sys
from pathlib import Path
from tempfile import mkdtemp

from core.settings import LimitSettings, MediaSettings
from media.tools import Tools, find_tools
from tests.hostile import mutants
from tests.hostile.seeds import make_seeds
from tests.hostile.verdicts import ending


def main() -> int:
    """Run what is asked for; the exit status is 1 when a rule was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None, help="repeats a campaign's mutants")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument(
        "--samples", type=Path, help="judge this folder's files instead: bad_* rejected, others indexed"
    )
    arguments = parser.parse_args()
    tools = find_tools(MediaSettings(threads=2))
    if arguments.samples:
        return judge_samples(arguments.samples, tools)
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    folder = Path(mkdtemp(prefix="dailies-mutants-"))
    seeds = make_seeds(tools, folder)
    tally = mutants.run(
        seeds, tools, LimitSettings(), number=arguments.mutants, seed=seed, folder=folder, jobs=arguments.jobs
    )
    print(tally.table(), flush=True)
    print(f"what broke a rule is kept in {folder}" if tally.broken else "passed")
    return 1 if tally.broken else 0


def judge_samples(folder: Path, tools: Tools) -> int:
    """Validate and transcode every file of a folder; each should end as its name says."""
    wrong = 0
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        end = ending(path, tools, LimitSettings())
        as_named = end.is_proper and end.is_indexed != path.name.startswith("bad_")
        wrong += not as_named
        print(f"{path.name:44}{end.verdict:24}{'' if as_named else 'WRONG  '}{end.sentence}", flush=True)
    print(f"{wrong} ended otherwise than their names say" if wrong else "passed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
