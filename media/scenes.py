"""Scenes, the search results: shots merged where they are too short and split where they are too long."""

import math
from collections.abc import Collection, Sequence
from decimal import Decimal
from itertools import pairwise

from core.values import Scene, Shot, seconds


def scenes_from(
    shots: Sequence[Shot],
    duration_s: Decimal,
    min_scene_s: float,
    max_scene_s: float,
    *,
    continued: Collection[Decimal] = (),
) -> tuple[Scene, ...]:
    """Give scenes that cover [0, duration_s) without gap or overlap, in order; at least one.

    A shot shorter than `min_scene_s` joins the one before it (the first: the one after it); what is longer than
    `max_scene_s` is split into equal parts, whatever the shots say.

    Args:
        continued: starts of shots that look like the shot before them (media.likeness); they join it as long as
            the scene stays within `max_scene_s`.
    """
    if duration_s <= 0:
        raise ValueError("a video without duration has no scenes")
    longest = Decimal(str(max_scene_s))
    starts = sorted({s.start_s for s in shots if 0 < s.start_s < duration_s})
    starts = _without_continued(starts, duration_s, longest, continued)
    bounds = [Decimal(0), *_long_enough(starts, duration_s, min_scene_s), duration_s]
    pieces = [piece for start, end in pairwise(bounds) for piece in _split(start, end, longest)]
    return tuple(Scene(index=i, start_s=start, end_s=end) for i, (start, end) in enumerate(pieces))


def _without_continued(
    starts: Sequence[Decimal], duration_s: Decimal, longest: Decimal, continued: Collection[Decimal]
) -> list[Decimal]:
    kept: list[Decimal] = []
    for start, end in zip(starts, [*starts[1:], duration_s], strict=False):
        before = kept[-1] if kept else Decimal(0)
        if start not in continued or end - before > longest:
            kept.append(start)
    return kept


def _long_enough(starts: Sequence[Decimal], duration_s: Decimal, min_scene_s: float) -> list[Decimal]:
    least = Decimal(str(min_scene_s))
    kept: list[Decimal] = []
    for start, end in zip(starts, [*starts[1:], duration_s], strict=False):
        before = kept[-1] if kept else Decimal(0)
        # Too short itself: joins what is before. Too short before it (only the first can be): takes that in.
        if end - start >= least and start - before >= least:
            kept.append(start)
    return kept


def _split(start: Decimal, end: Decimal, longest: Decimal) -> list[tuple[Decimal, Decimal]]:
    parts = max(1, math.ceil((end - start) / longest))
    bounds = [seconds(start + (end - start) * part / parts) for part in range(parts)] + [end]
    # Parts shorter than the clock's resolution fall together.
    return [(a, b) for a, b in pairwise(bounds) if a < b]
