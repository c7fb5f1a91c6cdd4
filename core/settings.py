"""Everything two deployments may set differently, read from the environment once per process."""

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, TypeAdapter, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MiB = 1 << 20
GiB = 1 << 30

#: Fastest first; a slower one makes smaller files.
Preset = Literal[
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
]

#: What makes the rungs; the analysis proxy is always made by libx264.
RungEncoder = Literal["libx264", "h264_nvenc", "libsvtav1"]


def _size(n: int) -> ByteSize:
    return TypeAdapter(ByteSize).validate_python(n)


class Group(BaseModel):
    """One frozen group of settings; a typo in a name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DatabaseSettings(Group):
    """Where the records live."""

    url: SecretStr = Field(SecretStr(""), description="SQLAlchemy URL of the Dailies database (driver psycopg)")
    pool_size: int = Field(5, ge=1, description="connections each process keeps")
    connect_timeout_s: int = Field(5, ge=1, description="seconds to wait for a connection")


class StorageSettings(Group):
    """Where the objects live: any S3 store."""

    endpoint: str = Field("127.0.0.1:8333", description="host:port of the S3 API, without a scheme")
    public_endpoint: str | None = Field(
        None, description="host:port that clients reach for presigned URLs, when it differs"
    )
    access_key: str = Field("", description="S3 access key")
    secret_key: SecretStr = Field(SecretStr(""), description="S3 secret key")
    secure: bool = Field(default=False, description="use https")
    region: str = Field("us-east-1", description="region named in signatures")
    uploads_bucket: str = Field("uploads", description="bucket that videos are put into; it sends events")
    derived_bucket: str = Field("derived", description="bucket for everything Dailies makes; it must send no events")
    upload_url_life: dt.timedelta = Field(dt.timedelta(hours=1), description="how long a presigned upload URL works")


class EventsSettings(Group):
    """The object store's webhook."""

    token: SecretStr = Field(SecretStr(""), description="bearer token the store sends; empty refuses every event")
    target: str = Field(
        "", description="ARN under which the store knows the webhook; bootstrap subscribes it to the uploads bucket"
    )


class ServiceSettings(Group):
    """The HTTP door."""

    host: str = Field("127.0.0.1", description="address to listen on; loopback until owners and keys exist")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    url: str = Field("http://127.0.0.1:8080", description="base URL that clients reach")
    reconcile_every: dt.timedelta = Field(
        dt.timedelta(minutes=1), description="how often the service looks for lost work"
    )


class LogSettings(Group):
    """What processes write about themselves."""

    format: Literal["text", "json"] = Field(
        "text", description="lines of logs: `text` for people, `json` with run and video ids for a collector"
    )
    file: Path | None = Field(
        None, description="file that processes of flow runs append their logs to, besides the Prefect server"
    )


class MetricsSettings(Group):
    """Where workers answer Prometheus; the service does at `/metrics`."""

    worker_host: str = Field("127.0.0.1", description="address on which a worker tells its metrics")
    worker_port: int | None = Field(
        None, ge=1, le=65535, description="port on which a worker tells its metrics; unset: it does not"
    )


class WorkflowSettings(Group):
    """Names of what Prefect keeps for us."""

    work_pool: str = Field("dailies", description="Prefect work pool that flows run in")
    pool_template: Path | None = Field(
        None, description="JSON file with type and base job template of the work pool; default: processes of the worker"
    )
    uploads_at_once: int = Field(4, ge=1, description="uploads worked on at a time, over all workers")
    backfills_at_once: int = Field(1, ge=1, description="backfill runs at a time, over all workers")
    gpu_at_once: int | None = Field(
        None,
        ge=1,
        description="embedding runs at a time on the queue `gpu`; unset: they wait in `backfill`, and there is no such queue",
    )
    ui_url: str = Field("http://127.0.0.1:4200", description="Prefect UI as a browser reaches it, for links")
    notify: SecretStr = Field(
        SecretStr(""),
        description="who is told of failed runs: a webhook URL, or a notification block such as `slack-webhook/alerts`",
    )


class MediaSettings(Group):
    """ffmpeg and what it makes."""

    ffmpeg: Path | None = Field(None, description="ffmpeg binary; default: PATH, then the bundled wheel")
    ffprobe: Path | None = Field(None, description="ffprobe binary; default: PATH, then the bundled wheel")
    threads: int = Field(0, ge=0, description="threads per media process; 0 lets ffmpeg choose")
    cores: int = Field(0, ge=0, description="cores that the chunks of a run share; 0: those this process may use")
    stall_timeout: dt.timedelta = Field(
        dt.timedelta(seconds=60), description="end a media process that makes no progress for this long"
    )
    ladder: tuple[int, ...] = Field((1080, 720, 360), description="short sides of the rungs in pixels, largest first")
    encoder: RungEncoder = Field(
        "libx264", description="what makes the rungs: `libx264`, `h264_nvenc` or `libsvtav1`; ffmpeg must have it"
    )
    preset: Preset = Field("veryfast", description="speed by x264's names, from `ultrafast` to `placebo`")
    crf: int = Field(23, ge=0, le=51, description="constant rate factor of every rung, on x264's scale")
    segment_s: int = Field(2, ge=1, le=10, description="seconds between forced keyframes (HLS segment length)")
    chunk_s: int = Field(60, ge=2, description="seconds of source in a chunk; a source of up to two chunks stays whole")
    audio_bitrate_kbps: int = Field(128, ge=16, le=512, description="AAC bitrate")
    proxy_short_side: int = Field(224, ge=64, le=720, description="short side of the analysis proxy in pixels")

    @field_validator("ladder")
    @classmethod
    def _descending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value), reverse=True) or value[-1] < 2:  # noqa: PLR2004
            raise ValueError("the ladder needs distinct positive heights, largest first, such as [1080,720,360]")
        return value


class LimitSettings(Group):
    """What is accepted from an uploader."""

    max_bytes: ByteSize = Field(_size(20 * GiB), description="largest file")
    max_duration: dt.timedelta = Field(dt.timedelta(hours=4), description="longest video")
    max_width: int = Field(4096, ge=16, description="longer side of the largest picture")
    max_height: int = Field(2304, ge=16, description="shorter side of the largest picture")
    max_frame_rate: int = Field(120, ge=1, description="frames per second")
    max_frames: int = Field(2_000_000, ge=1, description="frames in one video")
    max_streams: int = Field(32, ge=1, description="streams in one file")
    min_bytes_per_s: int = Field(50, ge=0, description="fewer bytes per second of header duration are implausible")
    error_budget: float = Field(
        0.05, ge=0, le=1, description="share of frames that may be lost before a file is rejected as damaged"
    )


class ShotSettings(Group):
    """How shots are found and merged into scenes."""

    detector: Literal["transnet", "cascade", "fast"] = Field(
        "cascade",
        description="shot detector: `transnet`, a network that sees every frame; `fast`, no network; `cascade`, both",
    )
    min_scene_s: float = Field(1.0, ge=0, description="shorter shots are merged into their neighbour")
    max_scene_s: float = Field(60.0, gt=0, description="longer shots are split into equal scenes")
    merge_likeness: float | None = Field(
        None,
        ge=0,
        le=1,
        description="neighbouring shots whose colours are this much alike, 0 to 1, become one scene; unset: none do",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the detector's network runs")


class StillSettings(Group):
    """Posters and contact sheets."""

    poster_short_side: int = Field(
        224, ge=32, description="short side of a scene's poster in pixels; at most the proxy's"
    )
    sheet_columns: int = Field(4, ge=1, description="columns of the contact sheet")


class EncoderSettings(Group):
    """The network that gives vectors."""

    name: str = Field("bundled", description="`bundled`, or a Hugging Face id or folder of a CLIP-like checkpoint")
    revision: str | None = Field(None, description="commit of the checkpoint; pinned for everything but `bundled`")
    frames_per_scene: int = Field(4, ge=1, le=64, description="frames that are embedded per scene")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where the network runs")
    golden: Path | None = Field(
        None, description="JSON file of queries that an encoder must answer before it is activated (docs/encoders.md)"
    )
    canaries: bool = Field(
        default=True, description="refuse an encoder that mismatches a few known pictures and texts when it is loaded"
    )


class DaskSettings(Group):
    """The cluster that heavy tasks are sent to, when they are."""

    address: str = Field("", description="address of the Dask scheduler, such as `tcp://dask:8786`")
    gpu: tuple[Literal["chunk", "shots", "embed"], ...] = Field(
        (),
        description="tasks that take a Dask worker's `GPU` instead of one of its `CPU` slots: `chunk`, `shots`, `embed`",
    )


class Settings(BaseSettings):
    """All settings; `DAILIES_STORAGE__ENDPOINT` sets `storage.endpoint`."""

    model_config = SettingsConfigDict(
        env_prefix="DAILIES_",
        env_nested_delimiter="__",
        env_ignore_empty=True,  # compose can only pass a variable on, not leave it out
        frozen=True,
        extra="ignore",
        validate_default=True,
    )

    data: Path = Field(Path(".dailies"), description="folder of the embedded stack; also holds scratch")
    scratch: Path | None = Field(None, description="folder for media in work; default: `scratch` in the data folder")
    owner_id: str = Field("local", min_length=1, description="owner recorded for uploads until owners exist")
    task_runner: Literal["threads", "dask"] = Field(
        "threads",
        description="where a run's heavy tasks are executed: `threads` of its own process, or a `dask` cluster",
    )
    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    events: EventsSettings = EventsSettings()
    service: ServiceSettings = ServiceSettings()
    logs: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    workflow: WorkflowSettings = WorkflowSettings()
    media: MediaSettings = MediaSettings()
    limits: LimitSettings = LimitSettings()
    shots: ShotSettings = ShotSettings()
    stills: StillSettings = StillSettings()
    encoder: EncoderSettings = EncoderSettings()
    dask: DaskSettings = DaskSettings()

    @property
    def scratch_dir(self) -> Path:
        """Folder that holds media while it is worked on."""
        return (self.scratch or self.data / "scratch").absolute()


@cache
def get_settings() -> Settings:
    """Read the environment once; importing a module never does."""
    return Settings()
