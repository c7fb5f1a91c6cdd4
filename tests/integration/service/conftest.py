"""The service in this process, over real stores, with a dispatcher that is visible."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from core.errors import WorkflowUnavailable
from core.settings import Settings
from core.stages import Stage
from core.values import (
    CutKind,
    DetectedShots,
    EncoderSpec,
    Film,
    Proxy,
    Rendition,
    Scene,
    Shot,
    Stills,
    StoredFile,
    Transcoded,
)
from models import DerivedFile, Video, attempts, inbox, ledger, publication
from models.session import transaction
from service.app import create_app
from service.files import MEDIA_TYPES
from storage import keys
from storage.client import ObjectStore

SPEC = EncoderSpec(name="tiny", revision="1", dim=3, preprocess="none")


@dataclass
class FakeDispatch:
    """Stands where Prefect is asked: counts, and fails when told so."""

    is_down: bool = False
    passes: int = 0
    dispatched: list[UUID] = field(default_factory=list)

    def run(self, settings: Settings) -> int:
        self.passes += 1
        if self.is_down:
            raise WorkflowUnavailable
        with transaction(settings.database) as session:
            waiting = inbox.waiting(session)
            for row in waiting:
                inbox.mark_dispatched(session, row.id, row.id)
                self.dispatched.append(row.id)
        return len(waiting)


@pytest.fixture
def dispatch() -> FakeDispatch:
    return FakeDispatch()


def nothing(_settings: Settings) -> None:
    """Stand for a reconcile that finds nothing."""


@pytest.fixture
def client(settings: Settings, dispatch: FakeDispatch) -> Iterator[TestClient]:
    with TestClient(create_app(settings, dispatch=dispatch.run, settle=nothing, reconcile=nothing)) as opened:
        yield opened


@pytest.fixture
def put(store: ObjectStore) -> Callable[..., None]:
    """Put an object into the uploads bucket, as any S3 client does."""

    def put_object(key: str, content: bytes = b"x" * 1000) -> None:
        store.put_bytes(content, key, "video/mp4", bucket=store.settings.uploads_bucket)

    return put_object


@pytest.fixture
def indexed_video(settings: Settings, store: ObjectStore, put: Callable[..., None]) -> Callable[..., UUID]:
    """Make a video as a finished ingest leaves it: two scenes, one rung, files in the store, vectors."""

    def make(
        *,
        key: str = "film.mp4",
        owner_id: str | None = None,
        spec: EncoderSpec = SPEC,
        content: bytes = bytes(range(250)) * 4,
        title: str | None = None,
        description: str | None = None,
        vectors: Sequence[Sequence[float]] | None = None,
        players: Mapping[str, Path] | None = None,
    ) -> UUID:
        put(key)
        source = store.source_version(settings.storage.uploads_bucket, key)
        with transaction(settings.database) as session:
            row = inbox.record_source(session, source, owner_id=owner_id or settings.owner_id)
            inbox.mark_dispatched(session, row.id, row.id)
            ticket = attempts.begin(session, row.video_id, row.id)
            entry = ledger.start(session, ticket, Stage.TRANSCODE, "f1", row.id)
            ledger.finish(session, entry)

        def keep(name: str, body: bytes, kind: str) -> StoredFile:
            return store.put_bytes(body, keys.derived(ticket.video_id, Stage.TRANSCODE, "f1", 1, name), kind)

        film = keep("360p.mp4", content, "video/mp4")
        poster = keep("scene-00000.jpg", b"poster", "image/jpeg")
        transcoded = Transcoded(
            fingerprint="f1",
            duration_s=Decimal("4.5"),
            frames=108,
            renditions=(
                Rendition(
                    name="360p",
                    width=640,
                    height=360,
                    fingerprint="r1",
                    codec="avc1.64001f",
                    frame_rate=Decimal(24),
                    file=film,
                    playlist=keep("360p.m3u8", b"#EXTM3U 360p", "application/vnd.apple.mpegurl"),
                    average_bps=1_000,
                    peak_bps=2_000,
                ),
            ),
            proxy=Proxy(width=398, height=224, fingerprint="p1", file=keep("proxy.mp4", b"proxy", "video/mp4")),
            sound=None,
            film=Film(fingerprint="v1", file=keep("video.mp4", b"film", "video/mp4")),
            master=keep("master.m3u8", b"#EXTM3U master", "application/vnd.apple.mpegurl"),
        )
        detected = DetectedShots(
            fingerprint="s1",
            shots=(
                Shot(start_s=Decimal(0), end_s=Decimal("1.5"), kind=CutKind.START),
                Shot(start_s=Decimal("1.5"), end_s=Decimal("4.5"), kind=CutKind.CUT, confidence=0.75),
            ),
            scenes=(
                Scene(index=0, start_s=Decimal(0), end_s=Decimal("1.5")),
                Scene(index=1, start_s=Decimal("1.5"), end_s=Decimal("4.5")),
            ),
        )
        stills = Stills(
            fingerprint="c1",
            posters=(poster, None),
            contact_sheet=keep("contact-sheet.jpg", b"sheet", "image/jpeg"),
            storyboard={
                "storyboard.vtt": keep("storyboard.vtt", b"WEBVTT", "text/vtt"),
                "storyboard.jpg": keep("storyboard.jpg", b"tiles", "image/jpeg"),
            },
            degraded=("no poster for scene 1",),
        )
        vectors = vectors or [[1.0, *[0.0] * (spec.dim - 1)], [0.0, 1.0, *[0.0] * (spec.dim - 2)]]
        with transaction(settings.database) as session:
            publication.publish(session, ticket, transcoded, detected, stills, spec, vectors)
            video = session.get_one(Video, ticket.video_id)
            video.title, video.description = title or video.title, description
            for path, file in (players or {}).items():
                made = keep(path, file.read_bytes(), MEDIA_TYPES[file.suffix[1:]])
                session.merge(DerivedFile(video_id=video.id, path=path, key=made.key))
        return ticket.video_id

    return make
