"""A campaign of mutants: each ends with a reason code or indexed, and none is rejected that plain ffmpeg plays whole."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from core.settings import LimitSettings
from media.tools import Tools
from tests.hostile.mutate import mutate
from tests.hostile.verdicts import Ending, count_frames, ending, plays_whole

#: Seconds that one mutant of a one-second seed may take.
WALL_LIMIT_S = 120.0


@dataclass
class Tally:
    """What became of the mutants."""

    verdicts: Counter[str] = field(default_factory=Counter)
    by_seed: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: What broke a rule, one line each.
    broken: list[str] = field(default_factory=list)
    #: Mutants that plain ffmpeg decodes whole and in silence.
    unharmed: int = 0
    slowest_s: float = 0.0

    def breaks(self, finding: str) -> None:
        """Note a broken rule, and say so at once."""
        print(finding, flush=True)
        self.broken.append(finding)

    def table(self) -> str:
        rows = [f"{'verdict':24}mutants", *(f"{name:24}{count}" for name, count in self.verdicts.most_common())]
        rows += [
            f"{'all':24}{sum(self.verdicts.values())}",
            f"decoded whole and in silence by plain ffmpeg: {self.unharmed}",
        ]
        rows += [f"slowest: {self.slowest_s:.1f} s", f"broken rules: {len(self.broken)}"]
        return "\n".join(rows)


def run(
    seeds: dict[str, bytes], tools: Tools, limits: LimitSettings, *, number: int, seed: int, folder: Path, jobs: int = 2
) -> Tally:
    """Judge every seed as it is, then this many mutants, taking the seeds in turn."""
    tally = Tally()
    frames = {}
    for name, content in seeds.items():
        path = folder / name
        path.write_bytes(content)
        frames[name] = count_frames(path, tools)
        end = ending(path, tools, limits)
        if not end.is_indexed:
            tally.breaks(f"the unmutated {name} ended {end.verdict}: {end.sentence}")

    def judge(mutant: tuple[int, str, str, bytes]) -> tuple[int, str, str, Ending, bool]:
        number, name, kind, content = mutant
        # The name says nothing, as in the product.
        path = folder / f"mutant-{number}"
        path.write_bytes(content)
        end = ending(path, tools, limits)
        whole = plays_whole(path, tools, limits, frames[name])
        if end.is_proper and not (whole and not end.is_indexed):
            path.unlink()
        return number, name, kind, end, whole

    with ThreadPoolExecutor(jobs) as pool:
        for which, name, kind, end, whole in pool.map(judge, mutants(seeds, number, seed)):
            tally.verdicts[end.verdict] += 1
            tally.by_seed[name, end.verdict] += 1
            tally.unharmed += whole
            tally.slowest_s = max(tally.slowest_s, end.wall_s)
            about = f"{which} {name} {kind}: {end.verdict}: {' '.join(end.sentence.split())[:200]}"
            if not end.is_proper:
                tally.breaks(f"no verdict: {about}")
            elif whole and not end.is_indexed:
                tally.breaks(f"rejected, though it plays whole: {about}")
            elif end.wall_s > WALL_LIMIT_S:
                tally.breaks(f"took {end.wall_s:.0f} s: {about}")
    return tally


def mutants(seeds: dict[str, bytes], number: int, seed: int) -> Iterator[tuple[int, str, str, bytes]]:
    """Give number, seed's name, what was done, and the mutant; each depends on the seed and its number alone."""
    names = list(seeds)
    for which in range(number):
        name = names[which % len(names)]
        # A string, because Random hashes other things differently on each start.
        kind, content = mutate(seeds[name], random.Random(f"{seed}:{which}"))
        yield which, name, kind, content
