"""Put CMAF pieces together by copying their boxes; nothing is encoded."""

import io
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from core.errors import EncoderRejected
from media.allowed import own_input_args
from media.boxes import Box, boxes_in, children, payload, top_boxes
from media.fragments import box, fragment_head, samples_of
from media.launcher import run_ffmpeg
from media.rung_encoders import codec_string
from media.tools import Tools

_COPY_BYTES: Final = 1 << 20
#: The field of a sample description that names the encoder and its version, with its length and padding.
_ENCODER_NAME: Final = re.compile(rb".Lavc[ -~]*\0*", re.DOTALL)


def join(pieces: Iterable[Path], target: Path, delay: int) -> Path:
    """Join CMAF pieces: the head of the first, then the fragments of all, numbered anew.

    Each piece is read once and may be gone when the next one is asked for.

    Pictures that are shown before they are decoded have negative offsets, which players read in different ways
    (ffmpeg delays the whole track). They are made positive here, and an edit list takes the same time off again.

    Args:
        delay: the largest `delay_of` of all pieces.
    Raises:
        EncoderRejected: the pieces were not made with the same settings (permanent).
    """
    number = 0
    made_alike: bytes | None = None
    with target.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as file:
                boxes = top_boxes(file)
                own = b"".join(_read(file, b) for b in boxes if b.kind in {"ftyp", "moov"})
                if made_alike is None:
                    made_alike = _unsigned(own)
                    out.writelines(_head(file, b, delay) for b in boxes if b.kind in {"ftyp", "moov"})
                elif _unsigned(own) != made_alike:
                    raise EncoderRejected(f"{piece} was made with other settings than the piece before it")
                for part in boxes:
                    if part.kind == "moof":
                        number += 1
                        out.write(fragment_head(file, part, number, delay))
                    elif part.kind == "mdat":
                        file.seek(part.start)
                        _copy(file, out, part.size)
    return target


def mux(video: Path, audio: Path | None, target: Path, tools: Tools) -> Path:
    """Make one MP4 that starts to play before it has everything; nothing is encoded.

    Raises:
        EncoderRejected: the parts cannot be read (permanent).
    """
    # copyts: the distance between pictures and sound stays what it is in the parts.
    args = ["-v", "error", "-copyts", *own_input_args(video)]
    args += own_input_args(audio) if audio else []
    args += ["-map", "0:v:0", *(["-map", "1:a:0"] if audio else []), "-c", "copy", "-map_metadata", "-1"]
    args += ["-movflags", "+faststart", "-f", "mp4", target.name]
    run_ffmpeg(tools, args, cwd=target.parent)
    return target


def rung_codec(path: Path) -> str:
    """Name the codec of a joined rung as RFC 6381 does, from its decoder record."""
    with path.open("rb") as file:
        head = b"".join(_read(file, b) for b in top_boxes(file) if b.kind == "moov")
    h264, av1 = head.find(b"avcC"), head.find(b"av1C")
    if h264 >= 0:
        return f"avc1.{head[h264 + 5 : h264 + 8].hex()}"
    if av1 >= 0:
        return codec_string(head[av1 + 4 :])
    raise EncoderRejected(f"{path.name} holds neither H.264 nor AV1")


def delay_of(piece: Path) -> int:
    """Give the ticks by which the earliest picture is shown before it is decoded."""
    with piece.open("rb") as file:
        runs = [
            run
            for moof in top_boxes(file)
            if moof.kind == "moof"
            for traf in children(file, moof, "traf")
            for run in children(file, traf, "trun")
        ]
        return max((-int(samples_of(payload(file, run), 0).shifts.min(initial=0)) for run in runs), default=0)


def _read(file: BinaryIO, part: Box) -> bytes:
    file.seek(part.start)
    return file.read(part.size)


def _unsigned(head: bytes) -> bytes:
    """Leave out of ftyp and moov which versions wrote them: pieces fit across an upgrade of ffmpeg."""
    file = io.BytesIO(head)
    parts = []
    for whole in top_boxes(file):
        inner = boxes_in(file, whole.body, whole.end) if whole.kind == "moov" else [whole]
        parts += [_read(file, part) for part in inner if part.kind != "udta"]
    return _ENCODER_NAME.sub(b"", b"".join(parts))


def _copy(file: BinaryIO, out: BinaryIO, size: int) -> None:
    while size:
        block = file.read(min(size, _COPY_BYTES))
        if not block:
            raise EncoderRejected("a piece ends too early")
        out.write(block)
        size -= len(block)


def _head(file: BinaryIO, whole: Box, delay: int) -> bytes:
    """Give ftyp or moov, the latter with an edit list that takes the delay off each track."""
    if whole.kind != "moov" or not delay:
        return _read(file, whole)
    # One entry: as long as the media (0 in fragments), from `delay` on, at normal speed.
    edits = box("edts", box("elst", struct.pack(">IIIihh", 0, 1, 0, delay, 1, 0)))
    parts = []
    for inner in boxes_in(file, whole.body, whole.end):
        if inner.kind != "trak":
            parts.append(_read(file, inner))
            continue
        track = [_read(file, part) for part in boxes_in(file, inner.body, inner.end)]
        # After the track header, where the standard wants it.
        parts.append(box("trak", b"".join([track[0], edits, *track[1:]])))
    return box("moov", b"".join(parts))
