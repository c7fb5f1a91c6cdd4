"""Every error Dailies raises on purpose; the two inner nodes decide retries and nothing else does.

DailiesError
├─ TransientError          the same call may succeed later: retried
│  ├─ StorageUnavailable
│  ├─ DatabaseUnavailable
│  ├─ WorkflowUnavailable
│  ├─ EncoderKilled
│  ├─ EncoderStalled
│  ├─ ScratchFull
│  └─ AcceleratorBusy
└─ PermanentError          the same input fails the same way: never retried
   ├─ InvalidMedia         the uploader's fault: status "rejected" with a reason code
   └─ (our fault)          status "failed", an operator sees it
      ├─ EncoderRejected
      ├─ ObjectMissing
      ├─ ObjectChanged
      ├─ StorageRefused
      ├─ WorkflowRefused
      ├─ EncoderUnhealthy
      ├─ UnreadablePicture
      ├─ MissingDependency
      ├─ StackFailed
      ├─ Superseded
      ├─ SpaceInUse
      └─ NotFound
"""

from typing import ClassVar


class DailiesError(Exception):
    """Something went wrong in Dailies."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class TransientError(DailiesError):
    """The same call may succeed later."""


class StorageUnavailable(TransientError):
    """The object store did not answer, or answered that it is busy."""


class DatabaseUnavailable(TransientError):
    """The database did not answer."""


class WorkflowUnavailable(TransientError):
    """The Prefect server, or the Dask scheduler, did not answer."""


class EncoderKilled(TransientError):
    """A media process was ended by a signal, or could not be started on a machine that has nothing left."""

    #: Number of that signal, where it is known.
    signum: int | None = None


class EncoderStalled(TransientError):
    """A media process stopped making progress and was ended."""


class ScratchFull(TransientError):
    """The scratch folder has not enough free space for this video."""


class AcceleratorBusy(TransientError):
    """The accelerator has no memory left, even for a batch of one."""


class PermanentError(DailiesError):
    """The same input fails the same way."""


class InvalidMedia(PermanentError):
    """The uploaded file cannot be indexed.

    Attributes:
        reason: a stable code (see docs/verdicts.md) that scripts may match on.
    """

    reason: str
    #: Sentence shown to the uploader when no better one is at hand, by reason code.
    SENTENCES: ClassVar[dict[str, str]] = {
        "empty": "The file is empty.",
        "not_media": "The file is not a video: its content is not any media format.",
        "no_video_stream": "The file has no video stream.",
        "unsupported_container": "This kind of container is not accepted.",
        "unsupported_codec": "The video is encoded with a codec that is not accepted.",
        "too_long": "The video is longer than the limit.",
        "too_large": "The file is larger than the limit.",
        "too_many_pixels": "The picture is larger than the limit.",
        "too_many_streams": "The file has more streams than the limit.",
        "too_many_frames": "The video has more frames than the limit.",
        "frame_rate_too_high": "The frame rate is higher than the limit.",
        "truncated": "The file ends before the video does: the upload or the recording was cut off.",
        "damaged": "Too much of the video cannot be decoded.",
        "implausible_header": "The header promises what the file cannot hold.",
        "playlist_not_allowed": "The file is a playlist that points at other files; upload the video itself.",
        "overwritten": "The file was replaced in the bucket before it could be read; the newer upload is indexed instead.",
        "source_missing": "The file was deleted from the bucket before it could be read.",
        "upload_expired": "The upload was announced but never finished.",
    }

    def __init__(self, reason: str, sentence: str | None = None) -> None:
        if reason not in self.SENTENCES:
            raise ValueError(f"unknown reason code {reason!r}: add it to InvalidMedia.SENTENCES and docs/verdicts.md")
        self.reason = reason
        self.sentence = sentence or self.SENTENCES[reason]
        super().__init__(self.sentence)

    def __reduce__(self) -> tuple[type["InvalidMedia"], tuple[str, str], dict[str, object]]:
        """Keep the reason, and notes, when the error crosses a process border."""
        return (type(self), (self.reason, self.sentence), self.__dict__)


class EncoderRejected(PermanentError):
    """A media process refused its input or its arguments."""


class ObjectMissing(PermanentError):
    """The object store has no such object."""


class ObjectChanged(PermanentError):
    """The object in the store is not the version that was asked for."""


class StorageRefused(PermanentError):
    """The object store refused the request: credentials, bucket or arguments are wrong."""


class WorkflowRefused(PermanentError):
    """The Prefect server refused the request."""


class EncoderUnhealthy(PermanentError):
    """The encoder's vectors fail their health check."""


class UnreadablePicture(PermanentError):
    """The picture to search for cannot be read."""


class MissingDependency(PermanentError):
    """A program or package that Dailies needs is not there."""


class StackFailed(PermanentError):
    """A part of the embedded stack did not start."""


class Superseded(PermanentError):
    """A newer attempt owns this video; this one may not change anything visible."""


class SpaceInUse(PermanentError):
    """The embedding space answers searches, or is still being filled."""


class NotFound(PermanentError):
    """There is no such record."""
