"""Which setting makes which stage's result a different one, and nothing more."""

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.settings import Settings
from core.stages import Stage, stages_from
from core.values import (
    DetectedShots,
    Film,
    MediaFacts,
    Proxy,
    SourceVersion,
    StoredFile,
    Ticket,
    Transcoded,
    ValidatedSource,
)
from media.chunks import PlannedChunk, chunks_for
from media.ladder import rungs_for
from tasks import naming

STAGES = (Stage.VALIDATE, Stage.TRANSCODE, Stage.SHOTS, Stage.STILLS, Stage.EMBED)
SOURCE = SourceVersion(
    bucket="uploads", key="a.mp4", etag="e1", last_modified=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), size_bytes=10
)


def ticket(**changes: Any) -> Ticket:
    return Ticket(**{"video_id": uuid4(), "owner_id": "local", "source": SOURCE, "attempt": 1, **changes})


def names(settings: Settings, holder: Ticket | None = None, sha256: str = "abc", width: int = 1920) -> dict[Stage, str]:
    """Chain the stages as the flow does; give each one's fingerprint."""
    holder = holder or ticket()
    facts = MediaFacts(container="mp4", duration_s="4.0", width=width, height=1080, frame_rate="25", video_codec="h264")
    validated_name = naming.validate(settings, holder)
    source = ValidatedSource(fingerprint=validated_name, sha256=sha256, size_bytes=10, facts=facts)
    proxy_name = naming.proxy(settings, holder, source)
    file = StoredFile(key="k", size_bytes=1, etag="e")
    transcoded = Transcoded(
        fingerprint=naming.transcode(settings, holder, source),
        duration_s="4.0",
        frames=100,
        renditions=(),
        proxy=Proxy(width=398, height=224, fingerprint=proxy_name, file=file),
        sound=None,
        film=Film(fingerprint=naming.film(settings, holder, source), file=file),
        master=file,
    )
    detected = DetectedShots(fingerprint=naming.shots(settings, holder, transcoded), shots=(), scenes=())
    return {
        Stage.VALIDATE: validated_name,
        Stage.TRANSCODE: transcoded.fingerprint,
        Stage.SHOTS: detected.fingerprint,
        Stage.STILLS: naming.stills(settings, holder, transcoded, detected),
        Stage.EMBED: naming.embed(settings, holder, transcoded, detected, settings.encoder),
    }


def changed(before: dict[Stage, str], after: dict[Stage, str]) -> set[Stage]:
    return {stage for stage in STAGES if before[stage] != after[stage]}


EVERYTHING_AFTER_THE_CUT = {Stage.SHOTS, Stage.STILLS, Stage.EMBED}
TABLE = [
    # setting, value, the stages whose results it makes new ones
    ("limits.max_frames", 1000, {Stage.VALIDATE}),
    ("limits.max_width", 1280, {Stage.VALIDATE}),
    ("limits.error_budget", 0.5, {Stage.VALIDATE}),
    ("media.ladder", (1080, 360), {Stage.TRANSCODE}),
    ("media.encoder", "libsvtav1", {Stage.TRANSCODE}),
    ("media.crf", 30, {Stage.TRANSCODE}),
    ("media.preset", "fast", {Stage.TRANSCODE}),
    ("media.segment_s", 4, {Stage.TRANSCODE}),
    ("media.audio_bitrate_kbps", 64, {Stage.TRANSCODE}),
    ("media.proxy_short_side", 256, {Stage.TRANSCODE, *EVERYTHING_AFTER_THE_CUT}),
    ("shots.detector", "fast", EVERYTHING_AFTER_THE_CUT),
    ("shots.min_scene_s", 2.5, EVERYTHING_AFTER_THE_CUT),
    ("shots.max_scene_s", 30.0, EVERYTHING_AFTER_THE_CUT),
    ("shots.merge_likeness", 0.8, EVERYTHING_AFTER_THE_CUT),
    ("shots.device", "cpu", set()),
    ("stills.sheet_columns", 6, {Stage.STILLS}),
    ("stills.poster_short_side", 128, {Stage.STILLS}),
    ("encoder.frames_per_scene", 9, {Stage.EMBED}),
    ("encoder.device", "cpu", set()),
    ("encoder.canaries", False, set()),
    ("encoder.golden", "golden.json", set()),
    ("media.threads", 3, set()),
    ("media.cores", 3, set()),
    ("media.stall_timeout", dt.timedelta(seconds=5), set()),
    ("media.chunk_s", 30, set()),
    ("storage.endpoint", "elsewhere:1", set()),
    ("service.port", 1, set()),
    ("owner_id", "someone", set()),
]


@pytest.mark.parametrize(("setting", "value", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_a_setting_invalidates_exactly_the_stages_it_changes(setting: str, value: object, expected: set[Stage]):
    before = Settings()
    group, _, field = setting.rpartition(".")
    update = {group: getattr(before, group).model_copy(update={field: value})} if group else {field: value}
    assert changed(names(before), names(before.model_copy(update=update))) == expected


@pytest.mark.parametrize("first", STAGES)
def test_a_forced_rerun_makes_that_stage_and_those_after_it_anew(first: Stage):
    generations = dict.fromkeys(stages_from(first), 1)
    after = changed(names(Settings()), names(Settings(), ticket(generations=generations)))
    assert after == set(stages_from(first)) - {Stage.PUBLISH}


def test_an_overwritten_source_is_validated_anew_and_the_same_bytes_keep_all_that_follows():
    again = SOURCE.model_copy(update={"last_modified": SOURCE.last_modified + dt.timedelta(seconds=1)})
    assert changed(names(Settings()), names(Settings(), ticket(source=again))) == {Stage.VALIDATE}


def test_other_bytes_change_all_that_follows_validation():
    assert changed(names(Settings()), names(Settings(), sha256="def")) == set(STAGES) - {Stage.VALIDATE}


def test_the_attempt_changes_no_fingerprint():
    assert changed(names(Settings(), ticket(attempt=1)), names(Settings(), ticket(attempt=2))) == set()


def test_a_version_id_names_a_version_better_than_etag_and_time():
    versioned = SOURCE.model_copy(update={"version_id": "v1"})
    assert versioned.version == "v1"
    assert SOURCE.version == "e1@2026-01-01T00:00:00+00:00"


def outputs(settings: Settings) -> dict[str, str]:
    """Give the fingerprint of every output of the decode, by what it is."""
    holder = ticket(video_id=UUID(int=1))
    facts = MediaFacts(container="mp4", duration_s="300", width=1920, height=1080, frame_rate="25", video_codec="h264")
    source = ValidatedSource(fingerprint="v", sha256="abc", size_bytes=10, facts=facts)
    made = {rung.name: naming.rendition(settings, holder, source, rung) for rung in rungs_for(facts, settings.media)}
    rungs = rungs_for(facts, settings.media)
    for chunk in chunks_for(facts, settings.media):
        planned = PlannedChunk(**chunk.model_dump(), rungs=rungs, with_proxy=True)
        made[f"chunk {chunk.index}"] = naming.chunk(settings, holder, source, planned)
    made["proxy"] = naming.proxy(settings, holder, source)
    made["sound"] = naming.sound(settings, holder, source)
    made["film"] = naming.film(settings, holder, source)
    return made


CHUNKS = {f"chunk {n}" for n in range(5)}
OUTPUTS = [
    ("ladder", (1080, 720, 540, 360), {"540p", *CHUNKS}),
    ("ladder", (720, 360), {"1080p", "film", *CHUNKS}),
    ("crf", 30, {"1080p", "720p", "360p", "film", *CHUNKS}),
    ("audio_bitrate_kbps", 64, {"sound", "film"}),
    ("proxy_short_side", 256, {"proxy", *CHUNKS}),
    ("chunk_s", 100, CHUNKS),
    ("threads", 3, set()),
]


@pytest.mark.parametrize(("field", "value", "expected"), OUTPUTS)
def test_each_output_of_the_decode_has_a_name_of_its_own(field: str, value: object, expected: set[str]):
    settings = Settings()
    before = outputs(settings)
    assert len(set(before.values())) == len(before)
    after = outputs(settings.model_copy(update={"media": settings.media.model_copy(update={field: value})}))
    assert {name for name in before | after if before.get(name) != after.get(name)} == expected


def test_sound_that_is_made_otherwise_has_a_new_name_and_no_picture_has(monkeypatch: pytest.MonkeyPatch):
    before = outputs(Settings())
    monkeypatch.setattr("core.fingerprint.SOUND_VERSION", 99)
    after = outputs(Settings())
    assert {name for name in before if before[name] != after[name]} == {"sound", "film"}


def test_a_chunk_is_named_by_what_is_made_of_it_and_when():
    settings, holder = Settings(), ticket(video_id=UUID(int=1))
    facts = MediaFacts(container="mp4", duration_s="300", width=1920, height=1080, frame_rate="25", video_codec="h264")
    source = ValidatedSource(fingerprint="v", sha256="abc", size_bytes=10, facts=facts)
    rungs = rungs_for(facts, settings.media)
    whole = PlannedChunk(index=0, start_s=Decimal(0), rungs=rungs, with_proxy=True)
    changes: list[dict[str, Any]] = [{}, {"rungs": rungs[:1]}, {"with_proxy": False}, {"end_s": Decimal(60)}]
    changes += [{"ffmpeg_version": "n8.1"}]
    names = [naming.chunk(settings, holder, source, whole.model_copy(update=change)) for change in changes]
    assert len(set(names)) == len(names)
    later = whole.model_copy(update={"start_s": Decimal("0.000000")})
    assert naming.chunk(settings, holder, source, later) == names[0]
