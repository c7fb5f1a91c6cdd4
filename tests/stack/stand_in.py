"""Supervises stand-in parts: `python -m tests.stack.stand_in DATA SCENARIO`; shell scripts instead of servers."""

import sys
from pathlib import Path

from core.errors import DailiesError
from deployments.embedded.assembly import supervise
from deployments.embedded.layout import Layout
from deployments.embedded.parts import Part
from deployments.embedded.state import StackState

#: Appends its name to the journal, says that it is ready, and waits with a grandchild.
STEADY = 'echo start {name} >> {journal}; trap "echo stop {name} >> {journal}; exit 0" TERM; sleep 1000 & touch {ready}; wait'
STUBBORN = 'trap "" TERM; touch {ready}; while :; do sleep 1000; done'
FALLING = 'echo start {name} >> {journal}; echo "no such luck"; exit 3'
NEVER_READY = "sleep 1000"
DONE = "echo start {name} >> {journal}"
#: A worker with a child that reports how it ends, as a flow run does.
PARENT = (
    "sh -c 'trap \"echo child told >> {journal}; exit 0\" TERM; touch {ready}; while :; do sleep 0.05; done' & "
    "touch {ready}.parent; wait"
)

SCENARIOS: dict[str, list[tuple[str, str, dict]]] = {
    "chain": [
        ("third", STEADY, {"needs": ("second",)}),
        ("first", STEADY, {}),
        ("second", DONE, {"needs": ("first",), "is_one_shot": True}),
    ],
    "steady": [("one", STEADY, {}), ("two", STEADY, {"needs": ("one",)})],
    "falling": [("good", STEADY, {}), ("bad", FALLING, {"needs": ("good",)})],
    "late": [("late", NEVER_READY, {"start_within_s": 0.3})],
    "stubborn": [("one", STUBBORN, {"stop_within_s": 0.3})],
    "very stubborn": [("one", STUBBORN, {"stop_within_s": 300.0})],
    "silent": [("one", STEADY, {"dead_when_silent_s": 0.1})],
    "worker": [("worker", PARENT, {"children_stop_within_s": 5.0})],
}


def parts_of(layout: Layout, scenario: str) -> tuple[Part, ...]:
    """Make the parts of a scenario."""
    parts = []
    for name, script, options in SCENARIOS[scenario]:
        ready = layout.data / f"{name}.ready"
        text = script.format(name=name, ready=ready, journal=layout.data / "journal")
        parts.append(
            Part(
                name=name,
                argv=("/bin/sh", "-c", text),
                cwd=layout.data,
                log=layout.log(name),
                prepare=lambda ready=ready: ready.unlink(missing_ok=True),
                is_ready=ready.exists,
                url=f"file:{ready}",
                **options,
            )
        )
    return tuple(parts)


def main() -> int:
    """Supervise one scenario until a signal comes."""
    layout = Layout.of(Path(sys.argv[1]))
    layout.make()

    def assemble(layout: Layout, _state: StackState) -> tuple[Part, ...]:
        return parts_of(layout, sys.argv[2])

    try:
        supervise(layout, lambda line: print(line, flush=True), assemble)
    except DailiesError as error:
        print(f"failed: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
