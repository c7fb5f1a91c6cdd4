"""Full text over titles and descriptions."""

import datetime as dt

from sqlalchemy import func

from core.settings import DatabaseSettings
from models import Video, VideoStatus, inbox
from models.session import transaction
from models.words import videos_saying


def make_video(
    database: DatabaseSettings,
    title: str,
    description: str | None = None,
    *,
    owner_id: str = "local",
    status: VideoStatus = VideoStatus.INDEXED,
) -> None:
    with transaction(database) as session:
        video = inbox.announce(session, owner_id=owner_id, file_name="film.mp4", title=title, description=description)
        video.status = status
        video.indexed_at = func.now() if status is VideoStatus.INDEXED else None


def titles(database: DatabaseSettings, query: str, **narrowed: object) -> list[str]:
    with transaction(database) as session:
        found = videos_saying(session, query, owner_id="local", limit=10, **narrowed)
        return [session.get_one(Video, match.video_id).title for match in found]


def test_words_are_found_whatever_their_accents_case_and_number(database: DatabaseSettings):
    make_video(database, "Paris café at dawn")
    make_video(database, "A London bus")
    for query in ("cafe", "Café", "cafés", "CAFE paris", '"paris cafe"', "cafe or bar", "cafe -london", "the café"):
        assert titles(database, query) == ["Paris café at dawn"], query


def test_no_query_is_an_error(database: DatabaseSettings):
    make_video(database, "Paris café at dawn")
    for query in ("", "the of and", '"', "&|!:*()", "'; DROP TABLE video; --", "\\", "a" * 1000):
        assert titles(database, query) == [], query


def test_the_lack_of_a_word_alone_finds_nothing(database: DatabaseSettings):
    make_video(database, "Paris café at dawn")
    for query in ("-london", "-london -bus", "paris or -london", '-"london bus"'):
        assert titles(database, query) == [], query
    assert titles(database, "paris -london") == ["Paris café at dawn"]


def test_a_title_counts_more_than_a_description_and_others_videos_do_not_count(database: DatabaseSettings):
    make_video(database, "Harbour", "Boats at noon.")
    make_video(database, "Boats", "The harbour at noon.")
    make_video(database, "Boats of somebody else", owner_id="other")
    make_video(database, "Boats on their way", status=VideoStatus.UPLOADING)
    assert titles(database, "boats") == ["Boats", "Harbour"]
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    assert titles(database, "boats", where=[Video.created_at > tomorrow]) == []


def test_the_words_that_matched_are_told_as_they_are_written(database: DatabaseSettings):
    make_video(database, "Boating in Málaga", "One BOAT, two boats; nothing else.")
    with transaction(database) as session:
        [match] = videos_saying(session, "boats malaga", owner_id="local", limit=10)
    assert match.words == ("Boating", "Málaga", "BOAT", "boats")
