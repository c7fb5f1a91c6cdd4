"""What a search for absent things answers: refused by the cut-off, against the right hits that it loses.

`python -m benchmarks.confidence` reads the videos and queries of benchmarks/bundled_encoder.py and the
queries for absent things in queries/absent.json, written down before any score was looked at. It makes a library of
the videos as the pipeline does, scene by scene, and asks it as a search does. It prints the curve of either half and
of both; the cut-off that ships was chosen on both, so no query of them is unseen. The queries of
queries/more_footage.json are: written down before their results, too, and nothing was chosen on them.
"""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.bundled_encoder import QUERIES, halves, right_videos
from benchmarks.library import FirstHit, Library, library_of
from core.settings import EncoderSettings
from encoders.confidence import MATCH
from encoders.yardsticks import BUNDLED_TEXT

UNSEEN = QUERIES.with_name("more_footage.json")
ABSENT = QUERIES.with_name("absent.json")
#: What the cut-off must do: refuse this share of the absent, lose at most that share of right first hits.
MUST_REFUSE, MAY_LOSE = 0.70, 0.10

Shares = NDArray[np.float64]


def confidences(hits: Sequence[FirstHit]) -> Shares:
    return np.array([hit.confidence for hit in hits])


def curve(name: str, right: Shares, absent: Shares) -> None:
    print(f"\n{name}: {len(right)} right first hits, {len(absent)} absent queries")
    print("  confidence   refused   lost")
    for cut in sorted({*np.round(np.arange(0.1, 0.95, 0.1), 1).tolist(), MATCH}):
        mark = "  <- cut-off" if cut == MATCH else ""
        print(f"        {cut:.1f}       {(absent < cut).mean():4.0%}   {(right < cut).mean():4.0%}{mark}")


def first_hits(library: Library, wanted: dict[str, set[str]]) -> tuple[Shares, NDArray[np.bool_]]:
    """Each query's confidence in what it shows first, and whether that is right."""
    hits = [library.first_hit(query) for query in wanted]
    return confidences(hits), np.array([hit.film in right for hit, right in zip(hits, wanted.values(), strict=True)])


def main() -> None:
    library = library_of(EncoderSettings(device="cpu"))
    wanted, absent = right_videos(), json.loads(ABSENT.read_text())
    print(f"{len(library.films)} videos, {len(library.vectors)} scenes")
    confidence, is_right = first_hits(library, wanted)
    unseen, is_unseen_right = first_hits(library, right_videos(UNSEEN))
    is_held = halves(wanted)
    on, judged = ([library.first_hit(query) for query in absent[name]] for name in ("chosen_on", "judged"))

    # The measure that refuses just as many of the texts chosen on as it must: what the curve's cut should be.
    tuned = confidences(on)
    odds = np.log(tuned / (1 - tuned)) / BUNDLED_TEXT.steepness + BUNDLED_TEXT.cut
    print(f"cut of the measure: {BUNDLED_TEXT.cut}; fitted anew {np.quantile(odds, MUST_REFUSE):.3f}")
    curve("chosen on", confidence[is_right & ~is_held], tuned)
    curve("held out", confidence[is_right & is_held], confidences(judged))
    curve("every right hit, judged absents", confidence[is_right], confidences(judged))
    curve("unseen", unseen[is_unseen_right], confidences(judged))
    wrong = confidence[~is_right]
    print(f"\nwrong first hits refused as well: {(wrong < MATCH).sum()} of {len(wrong)}")
    refused, lost = np.mean([hit.is_nothing_good for hit in judged]), (confidence[is_right] < MATCH).mean()
    is_good = refused >= MUST_REFUSE and lost <= MAY_LOSE
    print(
        f"{'holds' if is_good else 'FAILS'}: {refused:.0%} of absent refused (>= {MUST_REFUSE:.0%}), "
        f"{lost:.0%} of {is_right.sum()} right first hits lost (<= {MAY_LOSE:.0%})"
    )
    if not is_good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
