"""Small frozen values that cross the border between tasks; all of them survive a trip through JSON."""

import datetime as dt
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from core.stages import Stage

#: Seconds of media time, exact to the microsecond; zero is the first frame of the video stream.
Seconds = Annotated[Decimal, Field(max_digits=16, decimal_places=6)]
#: Seconds on a source's own clock, exact to the microsecond: a damaged one may count since the beginning of the world.
ClockSeconds = Annotated[Decimal, Field(max_digits=28, decimal_places=6)]
#: Frames per second as a rational, written "30000/1001".
FrameRate = Annotated[Fraction, PlainValidator(Fraction), PlainSerializer(str, return_type=str)]


def seconds(value: Fraction | float | Decimal | str) -> Decimal:
    """Round media time to the microsecond, the resolution the database keeps."""
    if isinstance(value, Fraction):
        value = Decimal(value.numerator) / Decimal(value.denominator)
    return Decimal(value).quantize(Decimal("0.000001"))


class Value(BaseModel):
    """Base of every value here: frozen, unknown fields of newer writers ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SourceVersion(Value):
    """Exactly one version of one uploaded object, as the store's own stat describes it."""

    bucket: str
    key: str
    etag: str
    last_modified: dt.datetime
    size_bytes: int = Field(ge=0)
    version_id: str | None = None

    @property
    def version(self) -> str:
        """What tells two versions of a key apart: the version id, or etag and time.

        The etag alone repeats when the same bytes are put again.
        """
        return self.version_id or f"{self.etag}@{self.last_modified.astimezone(dt.UTC).isoformat()}"


class Ticket(Value):
    """What one attempt at one video may know and change."""

    video_id: UUID
    owner_id: str
    source: SourceVersion
    #: Token of this attempt: rows are written only while the video's attempt equals it.
    attempt: int
    #: How often a person forced each stage to be redone (`--from STAGE`); part of its fingerprint.
    generations: dict[Stage, int] = Field(default_factory=dict)


class StoredFile(Value):
    """One object in the derived bucket, as it was when it was written."""

    key: str
    size_bytes: int
    etag: str


#: What a tag says that is missing, or that nobody understands.
UNKNOWN_COLOURS: Final = "unknown"


class Colours(Value):
    """What the numbers in a stream's pictures mean, in ffmpeg's names; `unknown` where nobody can tell."""

    primaries: str = UNKNOWN_COLOURS
    transfer: str = UNKNOWN_COLOURS
    #: None for pictures in red, green and blue, which need none.
    matrix: str | None = UNKNOWN_COLOURS


class MediaFacts(Value):
    """What validation learned about a source."""

    container: str
    duration_s: Seconds
    #: Size as shown: after rotation and with square pixels.
    width: int
    height: int
    frame_rate: FrameRate
    video_codec: str
    audio_codec: str | None = None
    #: Which of its streams of sound is heard, counted from zero.
    audio_number: int = 0
    rotation: int = 0
    is_interlaced: bool = False
    is_hdr: bool = False
    #: None in facts that an older release learned.
    colours: Colours | None = None
    #: PTS of the first video frame in seconds, as the source counts; media time zero.
    start_s: ClockSeconds = Decimal(0)
    #: When the sound begins, on the same clock, as the container says; None where it does not.
    sound_start_s: ClockSeconds | None = None
    #: False where the source's clock is missing or jumps: such a source is never cut at times.
    is_cuttable: bool = True
    #: Times of pictures, on the same clock, that are damaged: far beyond those before and after them.
    wild_times_s: tuple[ClockSeconds, ...] = ()
    #: GOPs of more than twelve seconds, each from its keyframe to the next one that is known of, ascending.
    long_gops: tuple[tuple[ClockSeconds, ClockSeconds], ...] = ()
    #: What was not as good as it should be, in plain words; the video is indexed all the same.
    degraded: tuple[str, ...] = ()


class ValidatedSource(Value):
    """Manifest of the validate stage."""

    fingerprint: str
    sha256: str
    size_bytes: int
    facts: MediaFacts
    files: tuple[StoredFile, ...] = ()


class Rung(Value):
    """One recipe of the bitrate ladder: the short side of the picture and how hard to squeeze it."""

    name: str
    #: Exact size of the picture, both even.
    width: int
    height: int
    crf: int
    max_bitrate_kbps: int


class Stream(Value):
    """One CMAF file with a single stream, as players ask for it."""

    fingerprint: str
    file: StoredFile
    #: Its HLS playlist, by byte range.
    playlist: StoredFile
    average_bps: int
    #: Of the busiest stretch, as RFC 8216 counts it.
    peak_bps: int


class Rendition(Stream):
    """The pictures of one rung, without sound."""

    name: str
    width: int
    height: int
    #: As RFC 6381 says it, such as avc1.64001f.
    codec: str
    #: Pictures per second where they come fastest: that is what a playlist states.
    frame_rate: Decimal


class Sound(Value):
    """Manifest of the sound of a source; `stream` is None where there is none, or none that can be decoded."""

    fingerprint: str
    stream: Stream | None = None

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Every object this manifest names."""
        return (self.stream.file, self.stream.playlist) if self.stream else ()


class Film(Value):
    """One MP4 with pictures and sound, for players without HLS."""

    fingerprint: str
    file: StoredFile


class Proxy(Value):
    """The small copy of the whole video that all analysis reads; same frames, same times."""

    width: int
    height: int
    fingerprint: str
    file: StoredFile


class Transcoded(Value):
    """Manifest of the transcode stage."""

    fingerprint: str
    #: Duration of the video stream as decoded, seconds.
    duration_s: Seconds
    frames: int
    renditions: tuple[Rendition, ...]
    proxy: Proxy
    sound: Stream | None
    film: Film
    #: The HLS master playlist.
    master: StoredFile
    degraded: tuple[str, ...] = ()

    @property
    def paths(self) -> dict[str, StoredFile]:
        """What players ask for, by the path they ask for it; playlists name one another by these."""
        found = {"master.m3u8": self.master, "video.mp4": self.film.file}
        found |= {f"{made.name}.m3u8": made.playlist for made in self.renditions}
        if self.sound:
            found |= {"audio.mp4": self.sound.file, "audio.m3u8": self.sound.playlist}
        return found


class CutKind(StrEnum):
    """How a shot begins."""

    #: The first shot of the video.
    START = "start"
    #: From one frame to the next.
    CUT = "cut"
    #: Over several frames: dissolve, fade, wipe.
    GRADUAL = "gradual"


class Shot(Value):
    """Frames between two cuts, half-open [start_s, end_s); `kind` says how it begins."""

    start_s: Seconds
    end_s: Seconds
    kind: CutKind
    confidence: float = Field(1.0, ge=0, le=1)


class Scene(Value):
    """One or more shots shown as one search result, half-open [start_s, end_s)."""

    index: int
    start_s: Seconds
    end_s: Seconds


class DetectedShots(Value):
    """Manifest of the shots stage; scenes cover [0, duration) without gap or overlap."""

    fingerprint: str
    shots: tuple[Shot, ...]
    scenes: tuple[Scene, ...]
    files: tuple[StoredFile, ...] = ()


class Stills(Value):
    """Manifest of the stills stage; `posters` has one entry a scene, None where no frame could be had."""

    fingerprint: str
    posters: tuple[StoredFile | None, ...]
    contact_sheet: StoredFile | None
    #: Sprite and WebVTT for the scrub bar of a player, by the paths they are asked for.
    storyboard: dict[str, StoredFile] = Field(default_factory=dict)
    degraded: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Every object this manifest names."""
        return tuple(f for f in (*self.posters, self.contact_sheet, *self.storyboard.values()) if f is not None)


class EncoderSpec(Value):
    """Identity of an encoder: two vectors compare only when all of this is equal."""

    name: str
    revision: str
    dim: int = Field(gt=0)
    preprocess: str


class Embedded(Value):
    """Manifest of the embed stage; `vectors` is an .npy of (scenes, dim) float32 unit rows."""

    fingerprint: str
    encoder: EncoderSpec
    vectors: StoredFile
    #: Seconds of wall time that it took, the encoder's loading included; None in manifests of an older release.
    took_s: float | None = None

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Every object this manifest names."""
        return (self.vectors,)
