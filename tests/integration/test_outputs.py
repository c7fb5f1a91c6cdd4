"""What is in the store already is not made again, output by output."""

import json
from collections.abc import Callable
from decimal import Decimal
from uuid import uuid4

import pytest

from core.settings import Settings, get_settings
from core.stages import Stage
from core.values import Film, MediaFacts, Proxy, Rendition, StoredFile, Ticket, Transcoded, ValidatedSource
from media.chunks import PlannedChunk
from media.ladder import rungs_for
from storage import keys
from storage.client import ObjectStore
from tasks import naming
from tasks.transcoding import plan_chunks

FACTS = MediaFacts(
    container="mp4", duration_s="300", width=1920, height=1080, frame_rate="25", video_codec="h264", audio_codec="aac"
)
SOURCE = ValidatedSource(fingerprint="v", sha256="abc", size_bytes=10, facts=FACTS)


@pytest.fixture
def ticket(settings: Settings, store: ObjectStore) -> Ticket:
    store.put_bytes(b"film", "a.mp4", "video/mp4", bucket="uploads")
    return Ticket(video_id=uuid4(), owner_id="local", source=store.source_version("uploads", "a.mp4"), attempt=1)


@pytest.fixture
def transcoded(ticket: Ticket, settings: Settings, store: ObjectStore) -> Transcoded:
    """Leave everything in the store that an assembly leaves, its result as Prefect writes it."""

    def put(name: str) -> StoredFile:
        return store.put_bytes(b"x", keys.derived(ticket.video_id, Stage.TRANSCODE, "f", 1, name), "video/mp4")

    made = Transcoded(
        fingerprint=naming.transcode(settings, ticket, SOURCE),
        duration_s=Decimal(300),
        frames=7500,
        renditions=tuple(
            Rendition(
                name=rung.name,
                width=rung.width,
                height=rung.height,
                fingerprint=naming.rendition(settings, ticket, SOURCE, rung),
                codec="avc1.64001f",
                file=put(f"{rung.name}.mp4"),
                playlist=put(f"{rung.name}.m3u8"),
                frame_rate=Decimal(25),
                average_bps=1,
                peak_bps=2,
            )
            for rung in rungs_for(FACTS, settings.media)
        ),
        proxy=Proxy(width=398, height=224, fingerprint=naming.proxy(settings, ticket, SOURCE), file=put("proxy.mp4")),
        sound=None,
        film=Film(fingerprint=naming.film(settings, ticket, SOURCE), file=put("video.mp4")),
        master=put("master.m3u8"),
    )
    record = json.dumps({"metadata": {}, "result": made.model_dump_json()}).encode()
    store.put_bytes(record, keys.manifest(ticket.video_id, Stage.TRANSCODE, made.fingerprint), "application/json")
    return made


@pytest.fixture
def planned(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[list[str], bool]]]:
    """Plan under other settings; give the outputs of each chunk."""

    def planned(**media: str) -> list[tuple[list[str], bool]]:
        for name, value in media.items():
            monkeypatch.setenv(f"DAILIES_MEDIA__{name.upper()}", value)
        get_settings.cache_clear()
        chunks: tuple[PlannedChunk, ...] = plan_chunks.fn(ticket, SOURCE)
        return [([rung.name for rung in chunk.rungs], chunk.with_proxy) for chunk in chunks]

    return planned


def test_a_new_source_is_planned_with_every_output(planned):
    assert planned() == [(["1080p", "720p", "360p"], True)] * 5


@pytest.mark.usefixtures("transcoded")
def test_nothing_is_planned_for_what_is_there(planned):
    assert planned() == []
    assert planned(ladder="[720,360]", audio_bitrate_kbps="64", chunk_s="30") == []


@pytest.mark.usefixtures("transcoded")
def test_a_new_rung_is_made_alone(planned):
    assert planned(ladder="[1080,720,540,360]") == [(["540p"], False)] * 5


@pytest.mark.usefixtures("transcoded")
def test_another_proxy_makes_no_rung(planned):
    assert planned(proxy_short_side="256") == [([], True)] * 5


def test_what_was_deleted_is_made_alone(planned, transcoded: Transcoded, store: ObjectStore):
    store.delete(store.settings.derived_bucket, transcoded.renditions[1].playlist.key)
    assert planned() == [(["720p"], False)] * 5
    store.delete(store.settings.derived_bucket, transcoded.proxy.file.key)
    assert planned() == [(["720p"], True)] * 5
