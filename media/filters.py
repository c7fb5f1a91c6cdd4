"""The filters between decoder and encoders: sizes, colours, and the clock that starts at the first picture."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from core.values import MediaFacts
from media.colours import BT709, believed, believed_of_hdr
from media.measuring import LEAP_S, RESTART_S
from media.probe import MAX_PIXEL_ASPECT

#: Seconds by which a picture may come out of the decoder late without being missed.
_JITTER_S: Final = Fraction(1, 4)
#: Seconds by which sound may begin behind the first picture and be heard with it.
IN_STEP_S: Final = Decimal("0.005")
#: PQ and HLG to BT.709, in linear light; hable keeps detail in bright parts.
_TONE_MAP: Final = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv"
)


def video_graph(
    facts: MediaFacts,
    sizes: Sequence[tuple[int, int]],
    *,
    can_tone_map: bool,
    select: str | None = None,
    until_s: Fraction | None = None,
    first_until_s: Fraction | None = None,
) -> str:
    """Build the graph from the first video stream to one output [v0], [v1]… per size.

    Each size is scaled from the next larger one, which is cheaper than from the source and as good.

    Args:
        select: expression in `t` (source clock) that says which pictures enter; None lets all in.
        until_s: source clock from which on `select` lets nothing in: decoding ends there.
        first_until_s: source clock until which the first picture is told to media/process.py: what was damaged before
            it is no part of the video.
    """
    # select alone would have everything decoded that is read; trim alone rounds to microseconds.
    head = [f"trim=end={float(until_s + _JITTER_S):.6f}"] if until_s is not None else []
    head += [f"select='{select}'"] if select else []
    head += [f"select='if(gt(t,{plain(first_until_s)}),1,print(1))'"] if first_until_s is not None else []
    if facts.colours:
        head += [believed_of_hdr(facts.colours) if facts.is_hdr else believed(facts.colours)]
    # Fields are woven apart before anything scales them together; only pictures flagged so, once each.
    head += ["bwdif=mode=send_frame:deint=interlaced"] if facts.is_interlaced else []
    head += [f"setpts='{_shifted(facts) if select else _mended(facts)}'"]
    chains = []
    source = "0:V:0"
    # Never up from a smaller one: the proxy may be larger than the smallest rung.
    order = sorted(range(len(sizes)), key=lambda index: -sizes[index][0] * sizes[index][1])
    for place, index in enumerate(order):
        width, height = sizes[index]
        steps = [*head] if place == 0 else []
        # Square pixels: shapes are right in players that ignore the ratio. TV range: what players expect.
        scale = f"scale={width}:{height}" if place else _fit(width, height)
        # A matrix that is not told is BT.601's to ffmpeg, whatever the size, and to players only in small pictures.
        is_rgb = place == 0 and _is_rgb(facts)
        scale += f":out_color_matrix={BT709}" if is_rgb else ""
        steps += [f"{scale}:out_range=tv", "setsar=1"]
        steps += [f"setparams=colorspace={BT709}"] if is_rgb else []
        steps += [_TONE_MAP] if place == 0 and facts.is_hdr and can_tone_map else []
        # Of a picture that fills it this filter passes on the very same memory.
        steps += [f"pad={width}:{height}:-1:-1:eval=frame"] if place == 0 else []
        steps += ["format=yuv420p"]
        if place + 1 < len(sizes):
            steps += ["split=2"]
            chains.append(f"[{source}]{','.join(steps)}[v{index}][c{index}]")
            source = f"c{index}"
        else:
            chains.append(f"[{source}]{','.join(steps)}[v{index}]")
    return ";".join(chains)


def _fit(width: int, height: int) -> str:
    """Scale pictures into a frame whose shape most have; others, such as a telephone turned on the way, are to get bars.

    Each picture is asked: television changes the shape of its pixels and leaves their number. ffmpeg 5 tells
    it here; 8 calls all pixels as it calls the first.
    """
    shape = f"if(between(sar,1/{MAX_PIXEL_ASPECT},{MAX_PIXEL_ASPECT}),dar,a)"
    # Sides were rounded, each by less than three pixels: within that it is one and the same shape.
    fills = f"lt(abs({shape}*{height}/{width}-1),3/{width}+3/{height})"
    # Even, as 4:2:0 needs it.
    across = f"min({width},max(2,2*round({height}*{shape}/2)))"
    down = f"min({height},max(2,2*round({width}/{shape}/2)))"
    return f"scale=w='if({fills},{width},{across})':h='if({fills},{height},{down})':eval=frame"


def _is_rgb(facts: MediaFacts) -> bool:
    """Say whether pictures are in red, green and blue; those of HDR are given their matrix when they are mapped."""
    return facts.colours is not None and facts.colours.matrix is None and not facts.is_hdr


def audio_filter(facts: MediaFacts, *, late: bool, first_two: bool = False) -> str:
    """Build the graph from the audio stream that is heard to [a0], on the clock of the pictures.

    Silence is put in front of sound that begins late, and what sounds before the first picture is cut. ffmpeg builds the
    graph anew where a recording changes to another layout or rate, as television does between programmes.

    Args:
        late: whether it begins behind the first picture, or may.
        first_two: take the first two channels as they are, where nobody knows how to mix all of them.
    """
    start = plain(Fraction(facts.start_s))
    raw = f"PTS-({start})/TB+ld(0)"
    steps = [
        f"asetpts='{_monotonic(raw, 'NB_SAMPLES/SR/TB', facts, may_be_negative=True)}'",
        *(["pan=stereo|c0=c0|c1=c1"] if first_two else []),
        # async fills gaps with silence: sound would otherwise creep ahead of the pictures.
        # A graph that is built anew would put silence in front once more, from zero on: only where there must be some.
        *(["aresample=48000:async=1:first_pts=0"] if late else ["aresample=48000:async=1", "atrim=start=0"]),
    ]
    return f"[0:a:{facts.audio_number}]{','.join(steps)}[a0]"


def begins_late(facts: MediaFacts) -> bool:
    """Say whether sound begins behind the first picture, or may, as far as the container tells."""
    return facts.sound_start_s is None or facts.sound_start_s > facts.start_s + IN_STEP_S


def _shifted(facts: MediaFacts) -> str:
    """Move the clock so that the first picture is at zero; rounded, because setpts cuts fractions off."""
    return f"round(PTS-({plain(Fraction(facts.start_s))})/TB)"


def _mended(facts: MediaFacts) -> str:
    """Move the clock likewise, and carry on where the source's clock is missing, damaged, leaps or starts again."""
    step = f"round(({plain(1 / facts.frame_rate)})/TB)"
    time = f"{_shifted(facts)}+ld(0)"
    for wild in facts.wild_times_s:
        # Each is said to the microsecond, and is seconds away from every other.
        here = f"if(isnan(PREV_OUTPTS),0,PREV_OUTPTS+{step})"
        time = f"if(lt(abs(T-({plain(Fraction(wild))})),0.001),{here},{time})"
    return _monotonic(time, step, facts)


def _monotonic(time: str, step: str, facts: MediaFacts, *, may_be_negative: bool = False) -> str:
    # A pause longer than the whole video is no pause: one damaged time would move everything behind it.
    leapt = f"gt(ld(1),PREV_OUTPTS+({plain(Fraction(facts.duration_s) + LEAP_S)})/TB)"
    # Variables: 0 what was added since the clock restarted, 1 this frame's time, 2 how far it must move on.
    jump = f"PREV_OUTPTS+{step}-ld(1)"
    # A picture before zero can only be the first: the clock then starts there. Sound before it is cut later on.
    early = "0" if may_be_negative else "max(0,-ld(1))"
    restarted = f"lt(ld(1),PREV_OUTPTS-{RESTART_S}/TB)"
    return (
        f"st(1,if(isnan(PTS),if(isnan(PREV_OUTPTS),0,PREV_OUTPTS+{step}),{time}));"
        f"st(2,if(eq(N,0),{early},if({restarted}+{leapt},{jump},0)));"
        "st(0,ld(0)+ld(2));st(1,ld(1)+ld(2));"
        "if(gt(N,0)*lte(ld(1),PREV_OUTPTS),PREV_OUTPTS+1,ld(1))"
    )


def plain(value: Fraction) -> str:
    """Write a number as a quotient, exact for the evaluator."""
    return f"{value.numerator}/{value.denominator}"
