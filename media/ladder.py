"""Which rungs of the bitrate ladder a source deserves; touches nothing."""

from typing import Final

from core.settings import MediaSettings
from core.values import MediaFacts, Rung

#: Ceiling of a 1080p rung; smaller pictures need less, but not in proportion, hence the exponent.
_TOP_KBPS: Final = 6000
_TOP_PIXELS: Final = 1920 * 1080
_EXPONENT: Final = 0.85
#: From this frame rate on, the ceiling is half as high again.
_FAST_FPS: Final = 45
_FAST_FACTOR: Final = 1.5
_STEP_KBPS: Final = 50


def rungs_for(facts: MediaFacts, settings: MediaSettings) -> tuple[Rung, ...]:
    """Give the rungs a source fills, largest first; at least one, and never larger than the source.

    The number of a rung is the short side of its picture, so 720p of a portrait source is 720 wide.
    """
    short = min(facts.width, facts.height)
    sides = [side for side in settings.ladder if side <= short] or [short]
    rungs = [_rung(side, facts, settings) for side in sides]
    # An odd step of the ladder is rounded down and may meet its neighbour.
    return tuple({rung.name: rung for rung in rungs}.values())


def proxy_size(facts: MediaFacts, short_side: int) -> tuple[int, int]:
    """Give width and height of the analysis proxy: at most the source's, both even."""
    return scaled(facts.width, facts.height, min(short_side, facts.width, facts.height))


def scaled(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Scale a picture to a short side, both sides even as 4:2:0 chroma needs, and at least 2."""
    factor = short_side / min(width, height)
    return _even(width * factor), _even(height * factor)


def _rung(side: int, facts: MediaFacts, settings: MediaSettings) -> Rung:
    width, height = scaled(facts.width, facts.height, side)
    kbps = _TOP_KBPS * (width * height / _TOP_PIXELS) ** _EXPONENT
    kbps *= _FAST_FACTOR if facts.frame_rate >= _FAST_FPS else 1
    return Rung(
        name=f"{min(width, height)}p",
        width=width,
        height=height,
        crf=settings.crf,
        max_bitrate_kbps=max(_STEP_KBPS, round(kbps / _STEP_KBPS) * _STEP_KBPS),
    )


def _even(side: float) -> int:
    # A hair above 479 must not become 480: rounding down keeps "never larger than the source".
    return max(2, int(side + 1e-6) // 2 * 2)
