"""What a search for absent things answers: refused by the cut-off, against the right hits that it loses.

`python -m benchmarks.confidence` reads the videos and queries of benchmarks/bundled_encoder.py and the
queries for absent things in queries/absent.json, written down before any score was looked at. It prints the
curve of either half and of both; the cut-off that ships was chosen on both, so no query of it is unseen.
"""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.bundled_encoder import QUERIES, gallery_of, halves, right_videos
from core.settings import EncoderSettings
from encoders.confidence import MATCH, Yardstick
from encoders.load import load, yardstick
from encoders.protocol import Encoder, Vectors
from encoders.yardsticks import BUNDLED_TEXT

ABSENT = QUERIES.with_name("absent.json")
#: What the cut-off must do: refuse this share of the absent, lose at most that share of right first hits.
MUST_REFUSE, MAY_LOSE = 0.70, 0.10

Shares = NDArray[np.float64]


def first_hits(
    encoder: Encoder, space: Yardstick, gallery: Vectors, texts: Sequence[str]
) -> tuple[NDArray[np.intp], Shares]:
    """Give the nearest video of each text and its confidence."""
    vectors = encoder.encode_texts(texts)
    nearest = (vectors @ gallery.T).argmax(axis=1)
    pairs = zip(vectors, nearest, strict=True)
    return nearest, np.array([space.of_text(vector, gallery[[index]])[0] for vector, index in pairs])


def curve(name: str, right: Shares, absent: Shares) -> None:
    print(f"\n{name}: {len(right)} right first hits, {len(absent)} absent queries")
    print("  confidence   refused   lost")
    for cut in sorted({*np.round(np.arange(0.1, 0.95, 0.1), 1).tolist(), MATCH}):
        mark = "  <- cut-off" if cut == MATCH else ""
        print(f"        {cut:.1f}       {(absent < cut).mean():4.0%}   {(right < cut).mean():4.0%}{mark}")


def main() -> None:
    settings = EncoderSettings(device="cpu")
    encoder, space = load(settings), yardstick(settings)
    files, gallery = gallery_of(encoder)
    wanted, absent = right_videos(), json.loads(ABSENT.read_text())
    nearest, confidence = first_hits(encoder, space, gallery, list(wanted))
    is_right = np.array([files[i] in right for i, right in zip(nearest, wanted.values(), strict=True)])
    is_held = halves(wanted)
    _, tuned = first_hits(encoder, space, gallery, absent["chosen_on"])
    _, judged = first_hits(encoder, space, gallery, absent["judged"])

    # The measure that refuses just as many of the texts chosen on as it must: what the curve's cut should be.
    odds = np.log(tuned / (1 - tuned)) / BUNDLED_TEXT.steepness + BUNDLED_TEXT.cut
    print(f"cut of the measure: {BUNDLED_TEXT.cut}; fitted anew {np.quantile(odds, MUST_REFUSE):.3f}")
    curve("chosen on", confidence[is_right & ~is_held], tuned)
    curve("held out", confidence[is_right & is_held], judged)
    curve("every right hit, judged absents", confidence[is_right], judged)
    wrong = confidence[~is_right]
    print(f"\nwrong first hits refused as well: {(wrong < MATCH).sum()} of {len(wrong)}")
    refused, lost = (judged < MATCH).mean(), (confidence[is_right] < MATCH).mean()
    is_good = refused >= MUST_REFUSE and lost <= MAY_LOSE
    print(
        f"{'holds' if is_good else 'FAILS'}: {refused:.0%} of absent refused (>= 70%), {lost:.0%} of right hits lost (<= 10%)"
    )
    if not is_good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
