"""States that rows can be in; the database checks them by value."""

from enum import StrEnum


class VideoStatus(StrEnum):
    """Where a video is on its way.

    (a) uploading -> validating      its object was seen
    (b) validating -> processing     the source was accepted
    (c) processing -> indexed        publish committed
    (d) uploading|validating|processing -> rejected   the media's fault; a rerun starts again at validating
    (e) validating|processing -> failed     our fault or the infrastructure's; a rerun resumes
    """

    #: Announced, the object not seen yet.
    UPLOADING = "uploading"
    #: Seen; waiting for or in validation.
    VALIDATING = "validating"
    #: Accepted; being transcoded, cut and embedded.
    PROCESSING = "processing"
    #: Playable and searchable.
    INDEXED = "indexed"
    #: Cannot be indexed; the uploader is told why.
    REJECTED = "rejected"
    #: Stopped by an error; waits for a rerun.
    FAILED = "failed"


#: A run must be alive for these.
LIVE_STATUSES = (VideoStatus.VALIDATING, VideoStatus.PROCESSING)


class StageState(StrEnum):
    """What became of one attempt at one stage."""

    #: Started, not ended yet.
    RUNNING = "running"
    #: Ran and stored its result.
    DONE = "done"
    #: Its result was in the store already.
    REUSED = "reused"
    #: Raised; see the error columns.
    FAILED = "failed"


class Queue(StrEnum):
    """Which work queue a run waits in."""

    #: Somebody just uploaded it.
    UPLOADS = "uploads"
    #: Work that can wait; its limit keeps it from delaying uploads.
    BACKFILL = "backfill"
    #: Our own upkeep.
    SYSTEM = "system"


class IndexState(StrEnum):
    """What the vector index of an embedding space is good for; without it searches scan every vector."""

    #: Answers searches.
    READY = "ready"
    #: Somebody is making it.
    BUILDING = "building"
    #: Left half made by a process that was stopped; the next publication or activation makes it anew.
    INVALID = "invalid"
    #: Never made, or removed.
    MISSING = "missing"
