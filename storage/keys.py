"""Object keys, computed and parsed; touches nothing.

Uploads bucket:  videos/{video_id}/{file name}       made by upload/init; any other key is a plain client's upload
Derived bucket:  {video_id}/{stage or part}/{fingerprint}/result.json
                 {video_id}/{stage or part}/{fingerprint}/{attempt}/{name}
"""

import re
import unicodedata
from typing import Final
from uuid import UUID

from core.stages import Part, Stage

#: Longest file name we put into a key; stores allow 1,024 bytes for the whole key.
MAX_NAME_CHARS: Final = 120
#: Longest key an S3 store takes, in bytes of UTF-8.
MAX_KEY_BYTES: Final = 1024
#: Where SeaweedFS keeps the parts of unfinished multipart uploads, inside their bucket.
_PARTS: Final = ".uploads"
_DERIVED: Final = re.compile(r"[^/]+/[^/]+/[^/]+/(?P<attempt>\d+)/[^/]+")
_UPLOAD: Final = re.compile(r"videos/(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/[^/]+")


def safe_name(file_name: str) -> str:
    """Reduce a user's file name to letters, digits, dot, dash and underscore, its ending kept."""
    decomposed = unicodedata.normalize("NFKD", file_name.replace("\\", "/").rsplit("/", 1)[-1])
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-") or "video"
    if len(plain) > MAX_NAME_CHARS:
        stem, dot, suffix = plain.rpartition(".")
        keep = MAX_NAME_CHARS - len(suffix) - 1
        plain = f"{stem[:keep]}{dot}{suffix}" if dot and keep > 0 else plain[:MAX_NAME_CHARS]
    return plain


def upload(video_id: UUID, file_name: str) -> str:
    """Give the key an announced upload is put under."""
    return f"videos/{video_id}/{safe_name(file_name)}"


def announced_video(key: str) -> UUID | None:
    """Read the video id out of a key made by `upload`; None for every other key."""
    match = _UPLOAD.fullmatch(key)
    return UUID(match["id"]) if match else None


def names_an_upload(key: str) -> bool:
    """Say whether a key can be an uploaded object's: not a folder, a part, or what no client could write."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return False
    segments = key.split("/")
    return (
        0 < size <= MAX_KEY_BYTES and "\x00" not in key and segments[-1] != "" and not {".", "..", _PARTS} & {*segments}
    )


def video_prefix(video_id: UUID) -> str:
    """Everything derived from one video begins with this."""
    return f"{video_id}/"


def results_prefix(video_id: UUID, stage: Stage | Part) -> str:
    """Every result of one stage or part of a video begins with this."""
    return f"{video_prefix(video_id)}{stage}/"


def stage_folder(video_id: UUID, stage: Stage | Part, fingerprint: str) -> str:
    """Folder of one result, ending in a slash."""
    return f"{results_prefix(video_id, stage)}{fingerprint}/"


def manifest(video_id: UUID, stage: Stage | Part, fingerprint: str) -> str:
    """Key of a stage's result; also its Prefect cache key."""
    return f"{stage_folder(video_id, stage, fingerprint)}result.json"


def is_manifest(key: str) -> bool:
    """Say whether a key is a stage's result."""
    return key.endswith("/result.json")


def derived(video_id: UUID, stage: Stage | Part, fingerprint: str, attempt: int, name: str) -> str:
    """Key of one file of a result; attempts never write over one another."""
    return f"{stage_folder(video_id, stage, fingerprint)}{attempt}/{name}"


def attempt_of(key: str) -> int | None:
    """Read the attempt out of a key made by `derived`; None for every other key."""
    match = _DERIVED.fullmatch(key)
    return int(match["attempt"]) if match else None
