"""Filling one more space for an indexed video: from what was published, and nothing else."""

import datetime as dt
import subprocess
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.logging import disable_run_logger
from prefect.results import ResultRecord, ResultRecordMetadata
from prefect.serializers import JSONSerializer
from prefect.states import Failed
from sqlalchemy import literal_column, select

from core.agreed import SUPERSEDED
from core.errors import MissingDependency, ObjectMissing
from core.fingerprint import Recipes
from core.settings import Settings, get_settings
from core.stages import Stage
from core.values import (
    CutKind,
    DetectedShots,
    EncoderSpec,
    Film,
    Proxy,
    Scene,
    Shot,
    SourceVersion,
    Stills,
    Transcoded,
    Value,
)
from dispatch import planning
from encoders.catalog import spec_for
from flows import embed
from flows.embed import embed_video
from media.tools import find_tools
from models import Scene as SceneRow
from models import (
    SceneEmbedding,
    Video,
    VideoStatus,
    attempts,
    coverage,
    inbox,
    ledger,
    publication,
    recipes,
    spaces,
    stage_statistic,
)
from models.session import transaction
from storage import keys
from storage.client import ObjectStore
from tasks import scratch
from tasks.analysis import embed_scenes
from tasks.spaces import Published, add_vectors, open_spaces, read_published
from tests.tiny_checkpoints import save_clip

OLDER = EncoderSpec(name="older", revision="1", dim=3, preprocess="none")
#: An object that is not in the store: whoever reads the source fails.
SOURCE = SourceVersion(
    bucket="uploads", key="gone.mp4", etag="e", last_modified=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), size_bytes=10
)


def shots_of(fingerprint: str) -> DetectedShots:
    bounds = [(Decimal(0), Decimal("1.5")), (Decimal("1.5"), Decimal(4))]
    return DetectedShots(
        fingerprint=fingerprint,
        shots=tuple(Shot(start_s=start, end_s=end, kind=CutKind.START) for start, end in bounds),
        scenes=tuple(Scene(index=index, start_s=start, end_s=end) for index, (start, end) in enumerate(bounds)),
    )


@pytest.fixture
def configured(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that name a tiny encoder."""
    folder = save_clip(tmp_path / "newer", dim=16)
    for name, value in (("NAME", str(folder)), ("DEVICE", "cpu"), ("CANARIES", "false")):
        monkeypatch.setenv(f"DAILIES_ENCODER__{name}", value)
    get_settings.cache_clear()
    return get_settings()


@pytest.fixture
def video_id(configured: Settings, store: ObjectStore, tmp_path: Path) -> UUID:
    """A video that the older encoder embedded; after it, shots were found anew and not published."""
    clip = tmp_path / "proxy.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=4", "-pix_fmt", "yuv420p", str(clip)]
    tools = find_tools(configured.media)
    subprocess.run([str(tools.ffmpeg), "-nostdin", "-loglevel", "error", *picture], check=True, timeout=60)
    with transaction(configured.database) as session:
        row = inbox.record_source(session, SOURCE, owner_id="local")
        ticket = attempts.begin(session, row.video_id, None)
    key = keys.derived(ticket.video_id, Stage.TRANSCODE, "t1", 1, "proxy.mp4")
    proxy = Proxy(width=64, height=48, fingerprint="p1", file=store.put(clip, key, "video/mp4"))
    transcoded = Transcoded(
        fingerprint="t1",
        duration_s=Decimal(4),
        frames=40,
        renditions=(),
        proxy=proxy,
        sound=None,
        film=Film(fingerprint="f1", file=proxy.file),
        master=proxy.file,
    )
    stills = Stills(fingerprint="c1", posters=(None, None), contact_sheet=None)
    with transaction(configured.database) as session:
        for stage, made in (
            (Stage.TRANSCODE, transcoded),
            (Stage.SHOTS, shots_of("s1")),
            (Stage.SHOTS, shots_of("s2")),
        ):
            keep(store, ticket.video_id, stage, made)
            ledger.finish(session, ledger.start(session, ticket, stage, made.fingerprint, None))
        publication.publish(session, ticket, transcoded, shots_of("s1"), stills, OLDER, [[1, 0, 0], [0, 1, 0]])
    return ticket.video_id


def keep(store: ObjectStore, video_id: UUID, stage: Stage, made: Value) -> None:
    """Store a manifest as Prefect does."""
    key = keys.manifest(video_id, stage, made.fingerprint)  # type: ignore[attr-defined]
    metadata = ResultRecordMetadata(storage_key=key, serializer=JSONSerializer())
    store.put_bytes(ResultRecord(result=made, metadata=metadata).serialize(), key, "application/json")


def test_a_space_is_filled_from_the_proxy_without_source_or_new_attempt(configured: Settings, video_id: UUID) -> None:
    with transaction(configured.database) as session:
        spaces.register(session, spec_for(configured.encoder), configured.encoder.name)
    published = read_published.fn(video_id, "newer")
    assert (published.detected.fingerprint, published.encoder) == ("s1", configured.encoder)
    embedded = embed_scenes.fn(published.ticket, published.transcoded, published.detected, published.encoder)
    add_vectors.fn(published.ticket, published.detected, embedded)
    scratch.clear(published.ticket)
    with transaction(configured.database) as session:
        older, newer = spaces.every_space(session)
        assert [space.is_active for space in (older, newer)] == [True, False]
        assert [spaces.held(session, space).is_full for space in (older, newer)] == [True, True]
        rows = spaces.some_vectors(session, spaces.space_named(session, "newer"), 10)
        video = session.get_one(Video, video_id)
        assert (video.attempt, video.status) == (1, VideoStatus.INDEXED)
        assert (stage_statistic.embedding_s(session, newer.id) or 0) > 0
        assert stage_statistic.embedding_s(session, older.id) is None
    assert [len(row) for row in rows] == [spec_for(configured.encoder).dim] * 2


def test_no_video_is_indexed_that_no_search_would_find(configured: Settings, video_id: UUID) -> None:
    with transaction(configured.database) as session:
        ticket = attempts.beside(session, video_id)
    # Nobody has the older encoder on this machine, and its space answers searches.
    with disable_run_logger(), pytest.raises(MissingDependency, match="older"):
        open_spaces.fn(ticket)
    with transaction(configured.database) as session:
        spaces.activate(session, spaces.space_named(session, "newer"))
    with disable_run_logger():
        assert open_spaces.fn(ticket) == [configured.encoder]  # the old space may lack it


def test_uploads_do_not_wait_for_the_switch_after_a_release_with_another_bundled_encoder(
    configured: Settings, video_id: UUID
) -> None:
    with transaction(configured.database) as session:
        ticket = attempts.beside(session, video_id)
        spaces.space_named(session, "older").source = "bundled"
    with disable_run_logger():
        assert open_spaces.fn(ticket) == [configured.encoder]


def test_a_vector_that_is_written_again_as_it_is_stays_the_same_row(configured: Settings, video_id: UUID) -> None:
    def rewritten(vectors: list[list[float]]) -> list[bool]:
        # The transaction that wrote a row, in order of the scenes.
        rows = select(literal_column("scene_embedding.xmin::text")).select_from(SceneEmbedding).join(SceneRow)
        with transaction(configured.database) as session:
            before = session.scalars(rows.order_by(SceneRow.index)).all()
            publication.add_vectors(session, attempts.beside(session, video_id), "s1", OLDER, vectors)
        with transaction(configured.database) as session:
            after = session.scalars(rows.order_by(SceneRow.index)).all()
        return [one != other for one, other in zip(before, after, strict=True)]

    assert rewritten([[1, 0, 0], [0, 1, 0]]) == [False, False]
    assert rewritten([[1, 0, 0], [0, 0, 1]]) == [False, True]


def test_a_video_whose_manifests_are_gone_asks_for_a_rerun(
    configured: Settings, video_id: UUID, store: ObjectStore
) -> None:
    with transaction(configured.database) as session:
        spaces.register(session, spec_for(configured.encoder), configured.encoder.name)
    store.delete(configured.storage.derived_bucket, keys.manifest(video_id, Stage.SHOTS, "s1"))
    with pytest.raises(ObjectMissing, match="dailies rerun"):
        read_published.fn(video_id, "newer")


def test_a_new_attempt_at_the_video_overtakes_it_and_nothing_failed(
    configured: Settings, video_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(configured.database) as session:
        spaces.register(session, spec_for(configured.encoder), configured.encoder.name)

    def overtaken(video_id: UUID, space: str) -> Published:
        published = read_published.fn(video_id, space)
        with transaction(configured.database) as session:
            attempts.begin(session, video_id, None)
        return published

    # The race: a rerun begins while this run is on its way from reading to embedding.
    monkeypatch.setattr(embed, "read_published", overtaken)
    monkeypatch.setattr(embed, "placed", lambda task: task.fn)
    ended = embed_video.fn(video_id, "newer")
    assert (ended.type, ended.name) == (StateType.COMPLETED, SUPERSEDED)


def test_a_space_that_could_not_be_filled_counts_as_failed(configured: Settings, video_id: UUID) -> None:
    with transaction(configured.database) as session:
        recipes.record(session, video_id, recipes.published_by(session, video_id, Recipes(configured), [OLDER]))
    selection = planning.Selection(stage=Stage.EMBED)
    planning.prepare(configured, selection, planning.target(configured, selection))
    run = FlowRun(flow_id=uuid4(), parameters={"video_id": str(video_id), "space": "newer"})
    [noted] = embed_video.on_failure_hooks
    noted(embed_video, run, Failed())
    with transaction(configured.database) as session:
        found = coverage.coverage(session, recipes.columns(session, Recipes(configured)), "local")
        [of_space] = [row for row in found if row.encoder_id == spaces.space_named(session, "newer").id]
    assert (of_space.failed, of_space.missing) == (1, 0)
