"""Every write of the pipeline × before and after it × killed, a bug, a lost answer: the full product."""

import tempfile
import time
from pathlib import Path

from core.faults import TAKEN, WRITES, Fault, Moment, armed
from core.stages import Part, Stage
from tests.chaos.rig import Rig, make_clip, rig, soon
from tests.conftest import PATIENCE

FAULTS = (Fault.KILL, Fault.RAISE, Fault.LOSE)
#: Videos that go through their faults side by side.
AT_ONCE = 6
ENDED = ("indexed", "rejected", "failed")


def full_product() -> bool:
    """Fail in every way at every write, one video for each; print a line for each; say whether all came through."""
    cases = [(write, moment, fault) for write in WRITES for moment in Moment for fault in FAULTS]
    passed = True
    with rig() as running, tempfile.TemporaryDirectory() as name:
        for first in range(0, len(cases), AT_ONCE):
            batch = cases[first : first + AT_ONCE]
            started = [start(running, Path(name), first + n, *case) for n, case in enumerate(batch)]
            for case, (video_id, file) in zip(batch, started, strict=True):
                problem = outcome(running, video_id, file, *case)
                passed &= problem is None
                print(f"{case[0]:<10} {case[1]:<7} {case[2]:<6} {problem or 'ok'}", flush=True)
    return passed


def start(running: Rig, folder: Path, number: int, write: str, moment: Moment, fault: Fault) -> tuple[str, Path]:
    clip = make_clip(folder, number, 1.0 + number / 100)
    if write == "reject":
        clip.write_bytes(f"no film, number {number}. ".encode() * 50)
    body = {"file_name": clip.name}
    ticket = running.live.service.post("/videos/upload/init", json=body).raise_for_status().json()
    file = armed(running.faults, ticket["video_id"], write, moment)
    file.write_text(fault)
    running.live.put(clip, ticket["key"])
    return ticket["video_id"], file


def outcome(running: Rig, video_id: str, file: Path, write: str, moment: Moment, fault: Fault) -> str | None:
    """Give what went wrong; None when the video ended as it should and nothing finished was done again."""
    wanted = "rejected" if write == "reject" else "indexed"
    end = time.monotonic() + 240 * PATIENCE
    while time.monotonic() < end:
        video = soon(lambda: (now := running.live.video(video_id))["status"] in ENDED and now, 120, every_s=0.5)
        if not video or video["status"] != "failed":
            break
        if fault is not Fault.RAISE:
            return f"failed by itself: {video['error']}"
        running.live.service.post(f"/videos/{video_id}/rerun", json={}).raise_for_status()
        soon(lambda: running.live.video(video_id)["status"] != "failed", 30, every_s=0.2)
    if not video or video["status"] != wanted:
        return f"not {wanted}: {running.live.video(video_id)['status']}"
    if not file.with_name(file.name + TAKEN).exists():
        return "the write was never reached"
    times = {stage["stage"]: stage["attempts"] for stage in video["stages"]}
    for stage in Stage:
        in_flight = stage is Stage.TRANSCODE and write in {*Part}
        unfinished = (write == stage or in_flight) and moment is Moment.BEFORE
        # Sound and a chunk are at work side by side: one's end may cost the other.
        wrong = times[stage] not in {1 + unfinished, 1 + in_flight} if wanted == "indexed" else False
        if stage is not Stage.PUBLISH and wrong:
            return f"{stage} was executed {times[stage]} times"
    return None
