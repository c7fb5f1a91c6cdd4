"""Every kind of fault: each takes the rig and a source of chance, does its harm, and says whether it hit anything."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from core.faults import SCRATCH, TAKEN, WRITES, Fault, Moment, armed
from tests.chaos.rig import SMALL_BYTES, Rig, soon
from tests.chaos.webhook import Mode
from tests.conftest import PATIENCE

Harm = Callable[[Rig, random.Random], bool]
KINDS: dict[str, Harm] = {}
#: Seconds that a frozen process stays frozen.
FROZEN_S = (3.0, 8.0)
#: Seconds that a fault waits for something to hit.
TARGET_WITHIN_S = 25.0
#: Seconds that a fault armed at a write waits for its video to come there.
ARMED_S = 10.0
PARTS = ("service", "postgres", "store", "prefect", "worker")


def kind(name: str) -> Callable[[Harm], Harm]:
    """Register a fault."""

    def register(harm: Harm) -> Harm:
        KINDS[name] = harm
        return harm

    return register


def send(process: psutil.Process | None, number: signal.Signals) -> bool:
    """Send a signal; False when there is nobody to get it."""
    if process is None:
        return False
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
        return True
    return False


def freeze(process: psutil.Process | None, chance: random.Random) -> bool:
    """Stop a process for a while."""
    if not send(process, signal.SIGSTOP):
        return False
    time.sleep(chance.uniform(*FROZEN_S))
    send(process, signal.SIGCONT)
    return True


def one(
    found: Callable[[], list[psutil.Process]], chance: random.Random, every_s: float = 0.1
) -> psutil.Process | None:
    """Wait for a process of this sort and choose one."""
    processes = soon(found, TARGET_WITHIN_S, every_s)
    return chance.choice(processes) if processes else None


def _for_parts() -> None:
    for part in PARTS:
        KINDS[f"kill {part}"] = lambda rig, _chance, part=part: send(rig.part(part), signal.SIGKILL)
        KINDS[f"freeze {part}"] = lambda rig, chance, part=part: freeze(rig.part(part), chance)
    for part in ("service", "postgres", "worker"):
        KINDS[f"terminate {part}"] = lambda rig, _chance, part=part: send(rig.part(part), signal.SIGTERM)


_for_parts()


@kind("kill flow process")
def _kill_flow(rig: Rig, chance: random.Random) -> bool:
    return send(one(rig.flows, chance), signal.SIGKILL)


@kind("terminate flow process")
def _terminate_flow(rig: Rig, chance: random.Random) -> bool:
    return send(one(rig.flows, chance), signal.SIGTERM)


@kind("freeze flow process")
def _freeze_flow(rig: Rig, chance: random.Random) -> bool:
    return freeze(one(rig.flows, chance), chance)


@kind("kill ffmpeg")
def _kill_media(rig: Rig, chance: random.Random) -> bool:
    return send(one(rig.media, chance, every_s=0.02), signal.SIGKILL)


@kind("freeze ffmpeg")
def _freeze_media(rig: Rig, chance: random.Random) -> bool:
    return freeze(one(rig.media, chance, every_s=0.02), chance)


@kind("kill worker and flow process")
def _kill_both(rig: Rig, chance: random.Random) -> bool:
    flow = one(rig.flows, chance)
    return send(rig.part("worker"), signal.SIGKILL) and send(flow, signal.SIGKILL)


@kind("drop Prefect's database")
def _drop_prefect(rig: Rig, _chance: random.Random) -> bool:
    def drop() -> bool:
        rig.rows("DROP DATABASE prefect WITH (FORCE)", database="postgres")
        return True

    done = bool(soon(drop, 10, every_s=1))
    # Postgres' part makes a database that is missing when it starts again; the server then makes its tables.
    return send(rig.part("postgres"), signal.SIGINT) and send(rig.part("prefect"), signal.SIGKILL) and done


@kind("fill the scratch disk")
def _fill_scratch(rig: Rig, _chance: random.Random) -> bool:
    def refused() -> int:
        return int(rig.rows("SELECT count(*) FROM stage_run WHERE error_class = 'ScratchFull'")[0][0])

    # Only ever a disk of its own: filling the machine's would harm everybody on it.
    if not rig.small_scratch or not rig.scratch.is_mount() or not soon(rig.flows, TARGET_WITHIN_S):
        return False
    before, ballast = soon(lambda: [refused()], TARGET_WITHIN_S), rig.scratch / "ballast"
    try:
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            for _ in range(SMALL_BYTES >> 20):
                file.write(bytes(1 << 20))
        return before is not None and bool(soon(lambda: refused() > before[0], TARGET_WITHIN_S))
    finally:
        ballast.unlink(missing_ok=True)


def _line(mode: Mode) -> Harm:
    def harm(rig: Rig, _chance: random.Random) -> bool:
        before = rig.line.done[mode]
        rig.line.mode = mode
        hit = soon(lambda: rig.line.done[mode] > before, TARGET_WITHIN_S)
        rig.line.mode = Mode.PASS
        return hit is not None

    return harm


KINDS |= {f"{mode} webhooks": _line(mode) for mode in (Mode.DROP, Mode.REPEAT, Mode.REORDER)}


def _armed(fault: Fault, moments: tuple[Moment, ...], writes: tuple[str, ...] = WRITES) -> Harm:
    def harm(rig: Rig, chance: random.Random) -> bool:
        deadline = time.monotonic() + 2 * TARGET_WITHIN_S * PATIENCE
        while time.monotonic() < deadline:
            found = soon(lambda: _on_their_way(rig), TARGET_WITHIN_S)
            if not found:
                return False
            video_id, moment = chance.choice(found), chance.choice(moments)
            points = [armed(rig.faults, video_id, write, moment) for write in writes if write != "reject"]
            points = [point for point in points if not _taken(point).exists()]
            for point in points:
                point.write_text(fault)
            # It happens at the write that the video comes to next; one that waits for its turn may come to none.
            hit = soon(lambda points=points: any(_taken(point).exists() for point in points), ARMED_S)  # type: ignore[misc]
            for point in points:
                point.unlink(missing_ok=True)
            if hit:
                return True
        return False

    return harm


def _taken(file: Path) -> Path:
    return file.with_name(file.name + TAKEN)


def _on_their_way(rig: Rig) -> list[str]:
    """Give the videos that are worked on, and the next ones."""
    found = rig.rows(
        "SELECT id::text FROM video WHERE status IN ('validating', 'processing') ORDER BY attempt = 0, created_at LIMIT 4"
    )
    return [row[0] for row in found]


KINDS |= {
    "answer to a write lost": _armed(Fault.LOSE, (Moment.AFTER,)),
    "request of a write lost": _armed(Fault.LOSE, (Moment.BEFORE,)),
    "killed at a write": _armed(Fault.KILL, tuple(Moment)),
    "bug at a write": _armed(Fault.RAISE, (Moment.BEFORE,)),
    "scratch full": _armed(Fault.FULL, (Moment.BEFORE,), (SCRATCH,)),
}
