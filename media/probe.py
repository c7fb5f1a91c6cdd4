"""What a file says about itself, asked of ffprobe under the allow-lists; nothing here is a verdict."""

import json
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from core.settings import LimitSettings
from core.values import Colours
from media.allowed import file_arg, guard_args
from media.colours import HDR_TRANSFERS, colours_of
from media.launcher import run_ffprobe, stream_ffprobe
from media.tools import Tools

_STREAM_FIELDS: Final = (
    "index,codec_type,codec_name,width,height,sample_aspect_ratio,r_frame_rate,avg_frame_rate,start_time,duration,"
    "nb_frames,pix_fmt,field_order,color_transfer,color_primaries,color_space"
)
_HEADER_FIELDS: Final = (
    f"format=format_name,start_time,duration:stream={_STREAM_FIELDS}"
    ":stream_disposition=attached_pic:stream_side_data=rotation,crop_left,crop_right,crop_top,crop_bottom"
    ":program=program_id:program_stream=index"
)
_FRAME_FIELDS: Final = (
    "best_effort_timestamp_time,width,height,sample_aspect_ratio,interlaced_frame,"
    "pix_fmt,color_transfer,color_primaries,color_space"
)
#: Pixels wider than this many times their height, or the other way round, are a broken header.
MAX_PIXEL_ASPECT: Final = 8


@dataclass(frozen=True)
class Stream:
    """One stream as the header describes it; times in seconds, None where it says nothing."""

    kind: str
    codec: str
    #: Its number in the file.
    index: int = 0
    is_attached: bool = False
    width: int = 0
    height: int = 0
    pixel_aspect: Fraction = Fraction(1)
    frame_rate: Fraction | None = None
    start_s: Fraction | None = None
    duration_s: Fraction | None = None
    frames: int | None = None
    is_interlaced: bool = False
    is_hdr: bool = False
    #: None where it says nothing of its pictures at all.
    colours: Colours | None = None
    rotation: int = 0
    #: Columns and rows that its container hides (a clean aperture); an ffmpeg that tells them leaves them out.
    hidden: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Header:
    """What ffprobe reads without decoding more than it must."""

    container: str
    start_s: Fraction | None
    duration_s: Fraction | None
    streams: tuple[Stream, ...]
    #: Complaints of the demuxer and the decoders.
    complaints: str
    #: Whether length and number of pictures were counted, packet by packet.
    is_measured: bool = False
    #: Numbers of the streams that belong together, programme by programme, as television has several in one file.
    programmes: tuple[frozenset[int], ...] = ()
    #: Whether, so measured, the clock leaps somewhere: by more than a video may last.
    clock_leaps: bool = False

    @property
    def frames(self) -> int | None:
        """Pictures of the video stream, where they are known."""
        return self.video.frames if self.video else None

    @property
    def video(self) -> Stream | None:
        """The first stream of moving pictures, the one ffmpeg calls V:0; cover art does not count."""
        return next((s for s in self.streams if s.kind == "video" and not s.is_attached), None)

    @property
    def audio(self) -> tuple[Stream, ...]:
        """The streams of sound, the ones ffmpeg calls a:0, a:1 and so on."""
        return tuple(s for s in self.streams if s.kind == "audio")


@dataclass(frozen=True)
class Packet:
    """One packet; times in seconds, None where the container gives none."""

    kind: str
    #: Number of its stream in the file.
    stream: int
    pts_s: Fraction | None
    duration_s: Fraction | None
    dts_s: Fraction | None = None
    is_key: bool = False

    @property
    def end_s(self) -> Fraction | None:
        """When the packet's content ends."""
        return None if self.pts_s is None else self.pts_s + (self.duration_s or 0)


def read_header(path: Path, tools: Tools, limits: LimitSettings) -> Header:
    """Ask what streams there are; raises what media.launcher.run raises."""
    done = run_ffprobe(
        tools,
        [
            "-v", "error", *guard_args(limits), "-of", "json",
            "-show_entries", _HEADER_FIELDS,
            file_arg(path),
        ],
    )  # fmt: skip
    answer = json.loads(done.stdout or b"{}")
    form = answer.get("format", {})
    return Header(
        container=form.get("format_name", ""),
        start_s=_seconds(form.get("start_time")),
        duration_s=_seconds(form.get("duration")),
        streams=tuple(_stream(s) for s in answer.get("streams", ())),
        complaints=done.stderr_tail,
        programmes=tuple(
            frozenset(int(s["index"]) for s in programme.get("streams", ())) for programme in answer.get("programs", ())
        ),
    )


def read_packets(
    path: Path,
    tools: Tools,
    limits: LimitSettings,
    *,
    from_s: Fraction | None = None,
    until_s: Fraction | None = None,
    first_at_s: Sequence[Fraction] = (),
    streams: str | None = None,
) -> Generator[Packet]:
    """Give the packets from `from_s` to `until_s` (source clock), undecoded, in file order, as they are read.

    Without an index the demuxer may begin earlier or later than asked for. Who stops early closes the iterator.

    Args:
        first_at_s: instead, give for each of these times only the first packet that is read from there.
    Raises:
        EncoderRejected: at the end of what could be read (permanent); and what media.launcher.run raises.
    """
    args = ["-v", "error", *guard_args(limits), "-of", "csv=p=0"]
    args += ["-show_entries", "packet=codec_type,stream_index,pts_time,dts_time,duration_time,flags"]
    begin = f"{float(from_s):.6f}" if from_s is not None and from_s > 0 else ""
    end = f"{float(until_s):.6f}" if until_s is not None else ""
    intervals = [f"{float(time):.6f}%+#1" for time in first_at_s] or ([f"{begin}%{end}"] if begin or end else [])
    args += ["-read_intervals", ",".join(intervals)] if intervals else []
    args += ["-select_streams", streams] if streams else []
    with stream_ffprobe(tools, [*args, file_arg(path)]) as process:
        for row in process.lines():
            kind, stream, pts, dts, duration, flags, *_ = (*row.decode(errors="replace").split(","), *5 * [""])
            if stream.isdigit():
                yield Packet(kind, int(stream), _seconds(pts), _seconds(duration), _seconds(dts), "K" in flags)
        process.finish()


def read_head_frames(path: Path, tools: Tools, limits: LimitSettings, length_s: float) -> list[dict[str, str]]:
    """Decode the first seconds of the video: per frame its time, size, pixel shape, field and colours."""
    done = run_ffprobe(
        tools,
        [
            "-v", "error", *guard_args(limits), "-select_streams", "V:0", "-read_intervals", f"%+{length_s:g}",
            "-of", "json=compact=1",
            "-show_entries", f"frame={_FRAME_FIELDS}",
            file_arg(path),
        ],
    )  # fmt: skip
    return [f for f in json.loads(done.stdout or b"{}").get("frames", ()) if "width" in f]


def shown_size(stream: Stream, longest: int) -> tuple[int, int]:
    """Give the picture's size after cropping and rotation, and with square pixels.

    Pixels are never lost, unless a side of the stretched picture would be longer than `longest`, pixels.
    """
    (columns, rows), aspect = stream.hidden, stream.pixel_aspect
    width, height = max(1, stream.width - columns), max(1, stream.height - rows)
    if aspect > 1:
        width = round(width * aspect)
    elif aspect < 1:
        height = round(height / aspect)
    if aspect != 1 and (most := max(width, height)) > longest:
        width, height = max(1, width * longest // most), max(1, height * longest // most)
    return (height, width) if stream.rotation % 180 else (width, height)


def sized(stream: Stream, frame: dict[str, str]) -> Stream:
    """Give the stream with the size and the shape of pixels of a decoded frame."""
    aspect = _pixel_aspect(frame.get("sample_aspect_ratio"))
    return replace(stream, width=int(frame["width"]), height=int(frame["height"]), pixel_aspect=aspect)


def _stream(said: dict[str, Any]) -> Stream:
    side = said.get("side_data_list", ())
    disposition = said.get("disposition", {})
    return Stream(
        kind=said.get("codec_type", "unknown"),
        codec=said.get("codec_name", "unknown"),
        index=int(said.get("index", 0)),
        is_attached=bool(disposition.get("attached_pic")),
        width=int(said.get("width", 0)),
        height=int(said.get("height", 0)),
        pixel_aspect=_pixel_aspect(said.get("sample_aspect_ratio")),
        # The average first: r_frame_rate of a VFR file is a guess at its clock, often 1000.
        frame_rate=_ratio(said.get("avg_frame_rate")) or _ratio(said.get("r_frame_rate")),
        start_s=_seconds(said.get("start_time")),
        duration_s=_seconds(said.get("duration")),
        frames=int(said["nb_frames"]) if str(said.get("nb_frames", "")).isdigit() else None,
        is_interlaced=said.get("field_order") in {"tt", "bb", "tb", "bt"},
        is_hdr=is_hdr_transfer(said.get("color_transfer")),
        colours=colours_of(said) if "pix_fmt" in said else None,
        rotation=next((round(float(d["rotation"]) / 90) * 90 % 360 for d in side if "rotation" in d), 0),
        hidden=(
            sum(int(d.get(side_of, 0)) for d in side for side_of in ("crop_left", "crop_right")),
            sum(int(d.get(side_of, 0)) for d in side for side_of in ("crop_top", "crop_bottom")),
        ),
    )


def is_hdr_transfer(transfer: str | None) -> bool:
    """Whether a transfer function is one of the two of HDR video (PQ, HLG)."""
    return transfer in HDR_TRANSFERS


def _seconds(text: str | None) -> Fraction | None:
    return Fraction(text) if text and re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def _ratio(text: str | None) -> Fraction | None:
    match = re.fullmatch(r"(\d+)[/:](\d+)", text or "")
    if not match or int(match[1]) == 0 or int(match[2]) == 0:
        return None
    return Fraction(int(match[1]), int(match[2]))


def _pixel_aspect(text: str | None) -> Fraction:
    aspect = _ratio(text) or Fraction(1)
    return aspect if Fraction(1, MAX_PIXEL_ASPECT) <= aspect <= MAX_PIXEL_ASPECT else Fraction(1)
