"""Published videos for tests, made without media."""

import datetime as dt
from uuid import UUID, uuid4

from core.fingerprint import Recipes
from core.settings import Settings
from core.values import EncoderSpec, SourceVersion
from models import Video, VideoStatus, inbox, recipes
from models.session import transaction

#: A second encoder, which nobody asks to embed anything.
SPEC = EncoderSpec(name="tiny", revision="1", dim=3, preprocess="none")
#: Videos a minute; more than any test has.
AT_ONCE = 1_000_000


def published(settings: Settings, by: Recipes, number: int) -> list[UUID]:
    """Publish videos, the oldest first."""
    ids, now = [], dt.datetime.now(dt.UTC)
    with transaction(settings.database) as session:
        for index in range(number):
            source = SourceVersion(bucket="b", key=f"{uuid4()}", etag="e", last_modified=now, size_bytes=1)
            video_id = inbox.record_source(session, source, owner_id=settings.owner_id).video_id
            video = session.get_one(Video, video_id)
            video.status, video.indexed_at = VideoStatus.INDEXED, now
            video.created_at = now - dt.timedelta(hours=number - index)
            session.flush()
            recipes.record(session, video_id, recipes.columns(session, by))
            ids.append(video_id)
    return ids
