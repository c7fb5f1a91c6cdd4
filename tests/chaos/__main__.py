"""`python -m tests.chaos`: a fault campaign on the real stack; `make chaos` runs the long form."""

import argparse
import random
import signal
import sys

from tests.chaos import backfill, campaign, chunks, recovery
from tests.chaos.crash_points import full_product


def main() -> int:
    """Run what is asked for; the exit status is 1 when it did not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=50, help="length of the campaign, settling not counted")
    parser.add_argument("--seed", type=int, default=None, help="repeats a campaign's choices")
    parser.add_argument("--uploads", type=int, default=160)
    parser.add_argument("--faults", type=int, default=110)
    losses = {"nargs": "?", "const": recovery.ALL, "choices": (recovery.ALL, *recovery.LOSSES)}
    parser.add_argument("--recovery", **losses, help="also measure recovery times, all or of one loss")
    parser.add_argument("--crash-points", action="store_true", help="also fail at every write in every way")
    parser.add_argument("--chunks", type=int, default=0, help="so many kills in the middle of an eight-chunk transcode")
    parser.add_argument("--backfill", type=int, default=0, help="so many videos embedded again while uploads arrive")
    arguments = parser.parse_args()
    # Ended by a signal, it stops its stack all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    passed = True
    if arguments.minutes > 0:
        tally = campaign.run(
            seed, minutes=arguments.minutes, uploads=arguments.uploads, faults=arguments.faults, settle_s=900
        )
        print(tally.table(), flush=True)
        least = {"uploads": min(150, arguments.uploads), "faults": min(100, arguments.faults), "kinds": 12}
        problems = campaign.report(tally, **least)
        print(*(f"PROBLEM: {problem}" for problem in problems if problem not in tally.problems), sep="\n", flush=True)
        passed = not problems
    if arguments.crash_points:
        passed &= full_product()
    if arguments.chunks:
        passed &= chunks.measure(arguments.chunks, seed)
    if arguments.backfill:
        figures = backfill.measure(arguments.backfill)
        print(figures.table(), *(f"PROBLEM: {problem}" for problem in figures.problems()), sep="\n", flush=True)
        passed &= not figures.problems()
    if arguments.recovery:
        passed &= recovery.measure(arguments.recovery)
    print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
