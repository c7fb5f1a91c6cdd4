"""kill -9 at a random moment of an eight-chunk transcode: what was finished is never encoded again, nothing is seen of it."""

import random
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from core.settings import MediaSettings
from media.tools import find_tools
from storage import keys
from tasks.transcoding import chunks_at_once
from tests.chaos.rig import Rig, rig, soon

CHUNKS = 8
#: Chunks of two seconds; shots by the detector that costs least, because they are not what is tested.
SETTINGS = {
    "DAILIES_MEDIA__CHUNK_S": "2",
    "DAILIES_MEDIA__SEGMENT_S": "1",
    "DAILIES_SHOTS__DETECTOR": "fast",
}
#: Two encodes of the same pictures by several threads differ in single bytes, never visibly.
SAME_SSIM = 0.99
AT_ONCE = 3
#: Films that a seed may try until it catches one in the middle of its transcode.
TURNS = 5


def measure(seeds: int, seed: int) -> bool:
    """Kill one video's process for each seed; print a line for each; say whether all came through."""
    with rig(SETTINGS) as running, tempfile.TemporaryDirectory() as name:
        clip = make_long_clip(Path(name))
        reference = running.live.wait_for_status(upload(running, clip, "reference.mp4"), "indexed", deadline_s=300)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            problems = list(pool.map(lambda n: one(running, clip, reference, seed + n, Path(name)), range(seeds)))
    return not any(problems)


def make_long_clip(folder: Path) -> Path:
    target = folder / "long.mp4"
    command = [str(find_tools(MediaSettings()).ffmpeg), "-nostdin", "-loglevel", "error", "-y"]
    command += ["-f", "lavfi", "-i", f"testsrc2=s=640x360:r=25:d={2 * CHUNKS + 1}", "-f", "lavfi", "-i", "sine=d=17"]
    command += ["-vf", "noise=alls=12", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
    subprocess.run([*command, str(target)], check=True, timeout=120, stdin=subprocess.DEVNULL)
    return target


def upload(running: Rig, clip: Path, key: str) -> str:
    ask = running.live.service.post
    announced = ask("/videos/upload/init", json={"file_name": key}, timeout=60).raise_for_status().json()
    running.live.put(clip, announced["key"])
    ask("/videos/upload/complete", json={"video_id": announced["video_id"]}, timeout=60).raise_for_status()
    return str(announced["video_id"])


def shares(running: Rig, video_id: str) -> list[tuple[str, str, int]]:
    """Give (chunk, state, attempt) of every ledger entry about a chunk."""
    query = (
        "SELECT part, state, attempt FROM stage_run WHERE video_id = %s AND part LIKE 'chunk %%' ORDER BY started_at"
    )
    return running.rows(query, video_id)  # type: ignore[return-value]


def finished(running: Rig, video_id: str) -> int:
    """Count the chunks whose result is in the store."""
    bucket = running.live.settings.storage.derived_bucket
    return sum(keys.is_manifest(item.key) for item in running.live.store.list(bucket, f"{video_id}/chunk/"))


def one(running: Rig, clip: Path, reference: dict[str, Any], seed: int, folder: Path) -> str | None:
    """Upload, kill in the middle of the transcode, wait; give what went wrong."""
    chance = random.Random(seed)
    for turn in range(TURNS):
        video_id = upload(running, clip, f"seed-{seed}-{turn}.mp4")
        after = chance.randrange(CHUNKS)
        soon(lambda video_id=video_id, after=after: begun(running, video_id, after), 300, every_s=0.02)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.6))
        process = running.live.flow_process(running.live.video(video_id)["flow_run_id"])
        if process is not None and finished(running, video_id) < CHUNKS:
            process.kill()
            process.wait(10)
            break
    else:
        return f"seed {seed}: was never caught in the middle"
    kept = finished(running, video_id)
    video = running.live.wait_for_status(video_id, "indexed", "failed", "rejected", deadline_s=400)
    problem = judge(running, video, kept) or differences(video, reference, folder / str(seed))
    redone = executed_again(shares(running, video_id))
    print(
        f"seed {seed}: killed with {kept} of {CHUNKS} chunks finished, {len(redone)} redone: {problem or 'ok'}",
        flush=True,
    )
    return problem


def begun(running: Rig, video_id: str, after: int) -> bool:
    return bool(shares(running, video_id)) and finished(running, video_id) >= after


def executed_again(found: list[tuple[str, str, int]]) -> list[str]:
    executed = [part for part, state, _ in found if state != "reused"]
    return sorted({part for part in executed if executed.count(part) > 1})


def judge(running: Rig, video: dict[str, Any], kept: int) -> str | None:
    """Hold the ledger against what was in the store when the process died."""
    if video["status"] != "indexed":
        return f"{video['status']}: {video['error']}"
    found = shares(running, video["video_id"])
    reused = {part for part, state, _ in found if state == "reused"}
    if max((attempt for _, _, attempt in found), default=1) == 1:
        return "it was killed, and there is no second attempt"
    if len(reused) < kept:
        return f"{kept} chunks were finished, {len(reused)} were reused"
    if len({part for part, _, _ in found}) != CHUNKS:
        return f"not {CHUNKS} chunks: {found}"
    if len(again := executed_again(found)) > chunks_at_once(MediaSettings()):
        return f"more than were in flight are redone: {again}"
    twice = any(found.count((part, "done", attempt)) > 1 for part, _, attempt in found)
    # They are removed after the commit that makes the video indexed.
    left = soon(lambda: finished(running, video["video_id"]) == 0, 60) is None
    return f"done twice in one attempt: {found}" if twice else "pieces are left" if left else None


def differences(video: dict[str, Any], reference: dict[str, Any], folder: Path) -> str | None:
    """Hold every rung and the film against those of a video whose process was not killed."""
    folder.mkdir()
    heard = [httpx.get(one["urls"]["video"].replace("video.mp4", "audio.mp4")).content for one in (video, reference)]
    if heard[0] != heard[1]:
        return "audio.mp4: other sound than without the kill"
    for name in ("video.mp4", *(f"{made['name']}.mp4" for made in reference["renditions"])):
        ours, theirs = folder / name, folder / f"reference-{name}"
        for path, document in ((ours, video), (theirs, reference)):
            path.write_bytes(httpx.get(document["urls"]["video"].replace("video.mp4", name)).raise_for_status().content)
        if ours.read_bytes() == theirs.read_bytes():
            continue
        if times(ours) != times(theirs):
            return f"{name}: other pictures or times than without the kill"
        if (found := ssim(ours, theirs)) < SAME_SSIM:
            return f"{name}: SSIM {found}"
    return None


def times(path: Path) -> str:
    """Give when each picture is shown, in order."""
    command = [str(find_tools(MediaSettings()).ffprobe), "-v", "error", "-select_streams", "V:0"]
    command += ["-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def ssim(ours: Path, theirs: Path) -> float:
    command = [str(find_tools(MediaSettings()).ffmpeg), "-nostdin", "-i", str(ours), "-i", str(theirs)]
    command += ["-filter_complex", "[0:v][1:v]ssim", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stderr
    return float(said.rpartition("All:")[2].split()[0])
