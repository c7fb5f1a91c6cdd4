"""The tasks around embedding spaces: which ones a video is embedded for, and filling one for a video that is indexed."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from prefect import get_run_logger, task
from prefect.results import ResultRecord  # type: ignore[attr-defined]  # re-exported without saying so
from pydantic import ValidationError

from core import faults
from core.errors import MissingDependency, ObjectMissing
from core.fingerprint import Recipes
from core.settings import EncoderSettings, get_settings
from core.stages import Stage
from core.values import DetectedShots, Embedded, Ticket, Transcoded, Value
from encoders.catalog import BUNDLED, settings_for, spec_for
from models import Video, attempts, ledger, publication, recipes, spaces
from models.recipes import Column
from models.session import transaction
from models.space_index import ensure_index
from storage import keys
from storage.client import object_store
from tasks.publishing import NEVER_CACHED, note_times, vectors_in
from tasks.result_store import stored_result
from tasks.stage import OfStage

M = TypeVar("M")


class Published(Value):
    """What filling a space for one video starts from."""

    ticket: Ticket
    transcoded: Transcoded
    detected: DetectedShots
    encoder: EncoderSettings


@task(name="spaces", task_run_name="open spaces", **NEVER_CACHED)
@OfStage(Stage.EMBED)
def open_spaces(ticket: Ticket) -> list[EncoderSettings]:
    """Make the space of the configured encoder when it is new; say how to load the encoder of every space, ours first.

    A space whose encoder is not on this machine is left out: its coverage then says what it lacks. Not so a checkpoint
    that answers searches: the video would count as indexed, and nobody could find it.

    Raises:
        MissingDependency: the configured encoder is not here, or the checkpoint of the active space (permanent).
    """
    settings = get_settings()
    own = spec_for(settings.encoder)
    with transaction(settings.database) as session:
        spaces.register(session, own, settings.encoder.name)
        every = spaces.every_space(session)
        faults.reached("spaces", faults.Moment.BEFORE, ticket.video_id)
    faults.reached("spaces", faults.Moment.AFTER, ticket.video_id)
    found = [settings.encoder]
    for space in every:
        ensure_index(settings.database, space)
        if space.spec == own:
            continue
        try:
            found.append(settings_for(space.spec, space.source, settings.encoder))
        except MissingDependency as error:
            # No machine has the bundled encoder of an earlier release: uploads must not wait for the switch.
            if space.is_active and space.source != BUNDLED:
                raise
            get_run_logger().warning("this video will be missing from a space: %s", error)
    return found


@task(name="read what is published", task_run_name="read what is published", **NEVER_CACHED)
def read_published(video_id: UUID, space: str) -> Published:
    """Find the proxy and the scenes of an indexed video, as the stages that made them left them.

    Raises:
        NotFound: there is no such space or no such indexed video (permanent).
        ObjectMissing: their manifests are gone: rerun the video (permanent).
        MissingDependency: the space's encoder is not here (permanent).
    """
    settings = get_settings()
    with transaction(settings.database) as session:
        ticket = attempts.beside(session, video_id)
        row = spaces.space_named(session, space)
        proxy_key = session.get_one(Video, video_id).proxy_key
        scenes = publication.scene_ids(session, video_id)
        shots = [
            name
            for name in ledger.finished(session, video_id, Stage.SHOTS)
            if publication.scene_id(video_id, name, 0) in scenes
        ]
        transcodes = ledger.finished(session, video_id, Stage.TRANSCODE)
    return Published(
        ticket=ticket,
        transcoded=_manifest(
            video_id, Stage.TRANSCODE, transcodes, Transcoded, lambda made: made.proxy.file.key == proxy_key
        ),
        detected=_manifest(video_id, Stage.SHOTS, shots, DetectedShots, lambda made: len(made.scenes) == len(scenes)),
        encoder=settings_for(row.spec, row.source, settings.encoder),
    )


@task(name="add vectors", task_run_name="add vectors of {embedded.encoder.name}", **NEVER_CACHED)
def add_vectors(ticket: Ticket, detected: DetectedShots, embedded: Embedded) -> None:
    """Write a video's vectors in one more space.

    Raises:
        Superseded: the video has other scenes by now (permanent).
    """
    vectors = vectors_in(embedded)
    with transaction(get_settings().database) as session:
        publication.add_vectors(session, ticket, detected.fingerprint, embedded.encoder, vectors)
        if (space := spaces.find_space(session, embedded.encoder)) is not None:
            done = {Column(Stage.EMBED, space.id): Recipes(get_settings()).of_space(embedded.encoder)}
            note_times(session, ticket, [embedded])
            recipes.record(session, ticket.video_id, done)


def note_failure(video_id: UUID, space: str) -> None:
    """Note that a space could not be filled for a video, for coverage and for the next backfill."""
    with transaction(get_settings().database) as session:
        recipes.note_failure(session, video_id, Stage.EMBED, spaces.space_named(session, space).id)


def _manifest(video_id: UUID, stage: Stage, names: list[str], kind: type[M], is_right: Callable[[M], bool]) -> M:
    """Give the newest manifest that what is published came from; its files are all there."""
    store = object_store(get_settings().storage)
    for name in names:
        record = stored_result(store, keys.manifest(video_id, stage, name))
        try:
            found = ResultRecord[Any].deserialize(record).result if record else None
        except ValidationError:
            continue  # written by an older version, whose stages would be done again
        if isinstance(found, kind) and is_right(found):
            return found
    raise ObjectMissing(
        f"The results that video {video_id} was published from are gone; `dailies rerun` makes them again."
    )
