"""Every write of the pipeline × before and after it × killed, a bug, a lost answer: the full product."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.faults import TAKEN, WRITES, Fault, Moment, armed
from core.stages import Part, Stage
from tests.chaos.rig import Rig, make_clip, rig, soon

FAULTS = (Fault.KILL, Fault.RAISE, Fault.LOSE)
#: Seconds that all cases may take, for each of them; they go through their faults side by side.
EACH_S = 30.0
OK = "ok"
ENDED = ("indexed", "rejected", "failed")


@dataclass
class Case:
    """One write, and how it fails."""

    write: str
    moment: Moment
    fault: Fault
    video_id: str = ""
    file: Path = Path()
    rerun: bool = False

    @property
    def wanted(self) -> str:
        return "rejected" if self.write == "reject" else "indexed"


def full_product() -> bool:
    """Fail in every way at every write, one video for each; print a line for each; say whether all came through."""
    cases = [Case(write, moment, fault) for write in WRITES for moment in Moment for fault in FAULTS]
    wrong = 0
    with rig() as running, tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(cases):
            start(running, Path(name), number, case)
        waiting = list(cases)

        def all_ended() -> bool:
            nonlocal wrong
            for case in list(waiting):
                said = running.patiently(lambda case=case: outcome(running, case))  # type: ignore[misc]
                if said is not None:
                    waiting.remove(case)
                    wrong += said != OK
                    print(f"{case.write:<10} {case.moment:<7} {case.fault:<6} {said}", flush=True)
            return not waiting

        soon(all_ended, len(cases) * EACH_S, every_s=1)
        for case in waiting:
            print(f"{case.write:<10} {case.moment:<7} {case.fault:<6} never ended: {running.live.video(case.video_id)}")
    print(f"{len(cases)} crash points, {len(cases) - wrong - len(waiting)} as they should be", flush=True)
    return not waiting and not wrong


def start(running: Rig, folder: Path, number: int, case: Case) -> None:
    """Announce a video, arm its fault, upload it."""
    clip = make_clip(folder, number, 1.0 + number / 100)
    if case.write == "reject":
        clip.write_bytes(f"no film, number {number}. ".encode() * 50)
    body = {"file_name": clip.name}
    ticket = running.live.service.post("/videos/upload/init", json=body).raise_for_status().json()
    case.video_id = ticket["video_id"]
    case.file = armed(running.faults, case.video_id, case.write, case.moment)
    case.file.write_text(case.fault)
    running.live.put(clip, ticket["key"])


def outcome(running: Rig, case: Case) -> str | None:
    """Give OK, or what went wrong; None while the video is on its way. A bug is "mended" and the video rerun."""
    video = running.live.video(case.video_id)
    if video["status"] == "failed" and case.fault is Fault.RAISE:
        if not case.rerun:
            running.live.service.post(f"/videos/{case.video_id}/rerun", json={}).raise_for_status()
            case.rerun = True
        return None
    if video["status"] not in ENDED:
        return None
    if video["status"] != case.wanted:
        return f"is {video['status']}: {video['error']}"
    if not case.file.with_name(case.file.name + TAKEN).exists():
        return "the write was never reached"
    return done_twice(case, video) or OK


def done_twice(case: Case, video: dict[str, Any]) -> str | None:
    """Name a stage that was executed again although it had been finished."""
    times = {stage["stage"]: stage["attempts"] for stage in video["stages"]}
    for stage in Stage:
        in_flight = stage is Stage.TRANSCODE and case.write in {*Part}
        unfinished = (case.write == stage or in_flight) and case.moment is Moment.BEFORE
        # Sound and a chunk are at work side by side: one's end may cost the other.
        wrong = times.get(stage, 1) not in {1 + unfinished, 1 + in_flight}
        if stage is not Stage.PUBLISH and case.wanted == "indexed" and wrong:
            return f"{stage} was executed {times[stage]} times"
    return None
