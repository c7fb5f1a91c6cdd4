"""A strict reader of the playlists we write (RFC 8216 and its second edition): it raises where a player might stumble."""

import json
import math
import re
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

MEDIA_TAGS = [
    "#EXTM3U", "#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-MAP",
]  # fmt: skip


@dataclass(frozen=True)
class Segment:
    file: Path
    start: int
    end: int
    duration_s: Fraction

    @property
    def bits(self) -> int:
        return 8 * (self.end - self.start)


@dataclass(frozen=True)
class Playlist:
    target_s: int
    head: Segment
    segments: list[Segment]

    @property
    def duration_s(self) -> Fraction:
        return sum((s.duration_s for s in self.segments), Fraction(0))

    @property
    def average_bps(self) -> float:
        return sum(s.bits for s in self.segments) / float(self.duration_s)

    @property
    def peak_bps(self) -> float:
        """Largest rate of any run of segments that lasts 0.5 to 1.5 target durations (RFC 8216, 4.1)."""
        rates = []
        for first in range(len(self.segments)):
            for last in range(first + 1, len(self.segments) + 1):
                run = self.segments[first:last]
                length = sum((s.duration_s for s in run), Fraction(0))
                if Fraction(1, 2) * self.target_s <= length <= Fraction(3, 2) * self.target_s:
                    rates.append(sum(s.bits for s in run) / float(length))
        return max([*rates, self.average_bps])


@dataclass(frozen=True)
class StreamInfo:
    attributes: dict[str, str]
    playlist: Playlist


def attributes_of(line: str) -> dict[str, str]:
    _, _, text = line.partition(":")
    found = re.findall(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)(?:,|$)', text)
    assert ",".join(f"{name}={value}" for name, value in found) == text, f"stray characters in {line}"
    assert len({name for name, _ in found}) == len(found), f"an attribute twice in {line}"
    return {name: value.strip('"') for name, value in found}


def read_media(path: Path) -> Playlist:
    """Read a media playlist and hold every byte range against its file."""
    content = path.read_bytes()
    assert b"\r" not in content
    assert not content.startswith(b"\xef\xbb\xbf")
    lines = content.decode().splitlines()
    assert [line.partition(":")[0] for line in lines[: len(MEDIA_TAGS)]] == MEDIA_TAGS
    assert lines[-1] == "#EXT-X-ENDLIST"
    value = dict(line.partition(":")[::2] for line in lines[: len(MEDIA_TAGS)])
    # Byte ranges need 4, EXT-X-MAP outside I-frame playlists 6; 7 is what players expect of fragmented MP4.
    assert int(value["#EXT-X-VERSION"]) >= 7
    assert (value["#EXT-X-MEDIA-SEQUENCE"], value["#EXT-X-PLAYLIST-TYPE"]) == ("0", "VOD")
    target, where = int(value["#EXT-X-TARGETDURATION"]), attributes_of(lines[len(MEDIA_TAGS) - 1])
    head = _segment(path, where["URI"], where["BYTERANGE"], Fraction(0))
    assert _box_kinds(head) == ["ftyp", "moov"]
    body = lines[len(MEDIA_TAGS) : -1]
    assert len(body) % 3 == 0
    segments = []
    for length, span, uri in zip(body[::3], body[1::3], body[2::3], strict=True):
        assert re.fullmatch(r"#EXTINF:\d+\.\d+,", length)
        assert re.fullmatch(r"#EXT-X-BYTERANGE:\d+@\d+", span)
        assert re.fullmatch(r"[\w.-]+", uri), "only plain relative names"
        segment = _segment(path, uri, span.partition(":")[2], Fraction(length[8:-1]))
        assert segment.duration_s > 0
        assert round(segment.duration_s) <= target
        assert _box_kinds(segment)[-2:] == ["moof", "mdat"]
        segments.append(segment)
    parts = [head, *segments]
    assert parts[0].start == 0
    assert all(a.end == b.start and a.file == b.file for a, b in pairwise(parts))
    assert parts[-1].end == parts[-1].file.stat().st_size
    assert target == max(1, math.ceil(max(s.duration_s for s in segments)))
    return Playlist(target, head, segments)


def read_master(path: Path, ffprobe: Path) -> tuple[list[StreamInfo], Playlist | None]:
    """Read a master playlist and hold what it promises against the files."""
    lines = path.read_text().splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[1].startswith("#EXT-X-VERSION:")
    assert lines[2] == "#EXT-X-INDEPENDENT-SEGMENTS"
    rest, audio, group = lines[3:], None, None
    if rest[0].startswith("#EXT-X-MEDIA:"):
        said = attributes_of(rest.pop(0))
        assert (said["TYPE"], said["DEFAULT"], said["CHANNELS"]) == ("AUDIO", "YES", "2")
        group, audio = said["GROUP-ID"], read_media(path.with_name(said["URI"]))
    variants = []
    for line, uri in zip(rest[::2], rest[1::2], strict=True):
        assert line.startswith("#EXT-X-STREAM-INF:")
        info = StreamInfo(attributes_of(line), read_media(path.with_name(uri)))
        assert info.attributes.get("AUDIO") == group
        _check_variant(info, audio, ffprobe)
        variants.append(info)
    borders = [[s.duration_s for s in info.playlist.segments] for info in variants]
    assert all(b == borders[0] for b in borders), "segments of all rungs begin together"
    return variants, audio


def _check_variant(info: StreamInfo, audio: Playlist | None, ffprobe: Path) -> None:
    said, tracks = info.attributes, [info.playlist, *([audio] if audio else [])]
    # Within a bit of rounding; peaks of two tracks need not fall together, so their sum is the ceiling.
    assert abs(int(said["AVERAGE-BANDWIDTH"]) - sum(t.average_bps for t in tracks)) <= len(tracks) + 1
    assert abs(int(said["BANDWIDTH"]) - sum(t.peak_bps for t in tracks)) <= len(tracks) + 1
    stream = _stream(info.playlist.head.file, ffprobe)
    assert said["RESOLUTION"] == f"{stream['width']}x{stream['height']}"
    assert said["CODECS"].split(",") == [_codec(stream), *(["mp4a.40.2"] if audio else [])]
    assert re.fullmatch(r"\d+\.\d{3}", said["FRAME-RATE"])


def _segment(playlist: Path, uri: str, span: str, duration: Fraction) -> Segment:
    size, _, start = span.partition("@")
    file = playlist.with_name(uri)
    segment = Segment(file, int(start), int(start) + int(size), duration)
    assert 0 <= segment.start < segment.end <= file.stat().st_size
    return segment


def _box_kinds(segment: Segment) -> list[str]:
    content = segment.file.read_bytes()[segment.start : segment.end]
    kinds, at = [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        assert size >= 8
        assert at + size <= len(content), "a box reaches past the byte range"
        kinds.append(content[at + 4 : at + 8].decode())
        at += size
    return kinds


def _stream(file: Path, ffprobe: Path) -> dict[str, str]:
    command = [str(ffprobe), "-v", "error", "-select_streams", "V:0", "-show_streams", "-of", "json", str(file)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)["streams"][0]


def _codec(stream: dict[str, str]) -> str:
    profile = {"High": "6400", "Main": "4d40", "Constrained Baseline": "42c0"}[stream["profile"]]
    return f"avc1.{profile}{int(stream['level']):02x}"
