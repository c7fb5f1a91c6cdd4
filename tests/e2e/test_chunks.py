"""A film longer than two chunks: a kill in the middle costs the chunks in flight and no other."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from core.faults import TAKEN, Fault, Moment, armed
from core.settings import MediaSettings
from core.stages import Part
from media.tools import find_tools
from models.session import transaction

if TYPE_CHECKING:
    from tests.conftest import Live

#: Three chunks of a minute; few and small pictures, because their number is all that counts here.
SECONDS, RATE = 130, 4


def make_long_film(target: Path) -> Path:
    command = [str(find_tools(MediaSettings()).ffmpeg), "-nostdin", "-loglevel", "error", "-y"]
    command += [
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=s=128x72:r={RATE}:d={SECONDS}",
        "-f",
        "lavfi",
        "-i",
        f"sine=d={SECONDS}",
    ]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    # A keyframe every ten seconds: chunks do not begin within a long GOP.
    command += ["-g", str(10 * RATE), str(target)]
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)
    return target


def test_a_kill_in_the_middle_of_a_film_costs_no_chunk_that_was_finished(live: "Live", tmp_path: Path):
    announced = live.service.post("/videos/upload/init", json={"file_name": "long.mp4"}).raise_for_status().json()
    video_id = announced["video_id"]
    kill = armed(live.faults, video_id, Part.CHUNK, Moment.AFTER)
    kill.write_text(Fault.KILL)
    live.put(make_long_film(tmp_path / "long.mp4"), announced["key"])
    taken = kill.with_name(kill.name + TAKEN)
    live.wait_for(taken.exists, "the first chunk is finished, and its process killed", 120)
    bucket = live.settings.storage.derived_bucket
    chunks = [item.key.split("/")[2] for item in live.store.list(bucket, f"{video_id}/chunk/") if "result" in item.key]
    assert chunks

    video = live.wait_for_status(video_id, "indexed", "failed")
    assert video["status"] == "indexed", video["error"]
    assert video["duration_s"] == SECONDS
    with transaction(live.settings.database) as session:
        rows = session.execute(
            text(
                "SELECT fingerprint, part, state, attempt FROM stage_run WHERE video_id = :id AND part LIKE 'chunk %'"
            ),
            {"id": video_id},
        ).all()
    assert {row.part for row in rows} == {"chunk 0", "chunk 1", "chunk 2"}
    again = {row.fingerprint: row.state for row in rows if row.attempt == 2}
    assert {again[name] for name in chunks} == {"reused"}
    assert {state for name, state in again.items() if name not in chunks} == {"done"}
    names = {
        run["name"]: run["state_name"] for run in live.task_runs(video["flow_run_id"]) if "Cached" in run["state_name"]
    }
    assert any(name.startswith("transcode chunk") for name in names)
    live.ended_run(video["flow_run_id"])
    assert not list(live.store.list(bucket, f"{video_id}/chunk/")), "pieces outlived their video"
