import os
import signal

import psutil
import pytest

from deployments.embedded import stack
from deployments.embedded.kept import describe_exit, pause_s
from deployments.embedded.layout import Layout
from deployments.embedded.processes import is_alive
from deployments.embedded.state import PartState, Phase
from tests.stack.conftest import StandIn, wait_until


@pytest.mark.parametrize(("failures", "pause"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (500, 30.0)])
def test_pauses_double_up_to_half_a_minute(failures: int, pause: float):
    assert pause_s(failures) == pause


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit 0"), (3, "exit 3"), (-9, "signal SIGKILL"), (-64, "signal SIGRTMAX")]
)
def test_an_exit_is_told_in_words(code: int, words: str):
    assert describe_exit(code) == words


def test_parts_start_after_what_they_need_and_stop_before_it(stand_in: StandIn):
    process = stand_in.up("chain")
    assert {part.name: part.state for part in stand_in.status.parts} == {
        "first": PartState.UP,
        "second": PartState.DONE,
        "third": PartState.UP,
    }
    process.terminate()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert stand_in.journal == ["start first", "start second", "start third", "stop third", "stop first"]
    assert stand_in.status.phase is Phase.DOWN
    assert [line.split()[0] for line in said.splitlines() if " in " in line][:3] == ["first", "second", "third"]


def test_a_part_that_dies_is_started_again_and_told_about(stand_in: StandIn):
    stand_in.up("steady")
    before = stand_in.pids
    assert before["one"] is not None
    os.kill(before["one"], signal.SIGKILL)
    wait_until(lambda: stand_in.status.parts[0].restarts == 1 and stand_in.status.is_up, "the part is up again")
    one, two = stand_in.status.parts
    assert (one.last_exit, two.restarts) == ("signal SIGKILL", 0)
    assert one.pid not in {None, before["one"]}
    assert two.pid == before["two"]


def test_a_disk_that_takes_nothing_more_does_not_end_the_stack(stand_in: StandIn):
    process = stand_in.up("steady")
    before = stand_in.pids["one"]
    assert before is not None
    children = {child.pid for child in psutil.Process(process.pid).children()}
    state = Layout.of(stand_in.data).state
    draft = state.with_name(f".{state.name}.new")
    draft.mkdir()  # what cannot be replaced stands for what cannot be written
    os.kill(before, signal.SIGKILL)
    wait_until(
        lambda: bool({child.pid for child in psutil.Process(process.pid).children()} - children), "it is started again"
    )
    assert process.poll() is None
    draft.rmdir()
    wait_until(
        lambda: stand_in.status.parts[0].restarts == 1 and stand_in.status.is_up, "it is told when there is room"
    )


def test_stopping_leaves_no_grandchild_behind(stand_in: StandIn):
    process = stand_in.up("steady")
    tree = psutil.Process(process.pid).children(recursive=True)
    assert len(tree) == 4
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert [p for p in tree if is_alive(p)] == []


def test_a_grandchild_of_a_dead_part_is_ended_with_the_stack(stand_in: StandIn):
    process = stand_in.up("steady")
    part = psutil.Process(stand_in.pids["one"])
    wait_until(lambda: len(part.children()) == 1, "it has a child")
    orphan = part.children()[0]
    part.kill()
    wait_until(lambda: orphan.ppid() == process.pid, "the supervisor has adopted it")
    process.terminate()
    process.communicate(timeout=30)
    assert not is_alive(orphan)


def test_a_part_that_lives_and_does_not_answer_is_started_again(stand_in: StandIn):
    stand_in.up("silent")
    first = stand_in.pids["one"]
    (stand_in.data / "one.ready").unlink()
    wait_until(lambda: stand_in.status.is_up and stand_in.pids["one"] not in (None, first), "it was started again")
    assert stand_in.status.parts[0].restarts == 1


def test_a_first_start_that_fails_ends_everything_and_shows_the_end_of_the_log(stand_in: StandIn):
    process = stand_in.up("falling", wait=False)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "bad ended while it was starting (exit 3)" in said
    assert "no such luck" in said
    assert stand_in.journal == ["start good", "start bad", "stop good"]
    assert stand_in.status.phase is Phase.FAILED
    assert "no such luck" in (stand_in.status.failure or "")


def test_a_part_that_is_never_ready_fails_the_start(stand_in: StandIn):
    process = stand_in.up("late", wait=False)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "late was not ready after" in said
    assert stand_in.running == []


def test_a_part_that_will_not_end_is_killed(stand_in: StandIn):
    process = stand_in.up("stubborn")
    process.terminate()
    process.communicate(timeout=30)
    assert stand_in.running == []
    assert stand_in.status.parts[0].last_exit == "signal SIGKILL"


def test_a_second_signal_does_not_wait(stand_in: StandIn):
    process = stand_in.up("very stubborn")
    process.terminate()
    wait_until(lambda: stand_in.status.phase is Phase.STOPPING, "it is stopping")
    process.terminate()
    process.communicate(timeout=30)
    assert stand_in.running == []


def test_flow_runs_may_say_that_they_end_before_their_worker_does(stand_in: StandIn):
    process = stand_in.up("worker")
    process.terminate()
    process.communicate(timeout=30)
    assert stand_in.journal == ["child told"]


def test_what_a_killed_supervisor_left_is_ended_by_the_next_start(stand_in: StandIn):
    first = stand_in.up("steady")
    parts = set(stand_in.pids.values())
    first.kill()
    first.communicate(timeout=30)
    wait_until(lambda: parts.isdisjoint(p.pid for p in stand_in.running), "the parts died with it")
    left = stand_in.running
    assert {p.name() for p in left} == {"sleep"}  # their children did not
    assert stand_in.status.phase is Phase.DOWN
    assert {part.state for part in stand_in.status.parts} == {PartState.DOWN}
    stand_in.up("steady")
    assert [p for p in left if is_alive(p)] == []


def test_down_ends_what_a_killed_supervisor_left(stand_in: StandIn):
    process = stand_in.up("steady")
    process.kill()
    process.communicate(timeout=30)
    assert stack.stop(stand_in.data) is True
    assert stand_in.running == []
    assert stack.stop(stand_in.data) is False


def test_down_stops_a_running_stack_in_order(stand_in: StandIn):
    process = stand_in.up("steady")
    assert stack.stop(stand_in.data) is True
    assert process.wait(5) == 0
    assert stand_in.journal[-2:] == ["stop two", "stop one"]


def test_an_up_beside_a_running_one_says_where_it_is(stand_in: StandIn):
    stand_in.up("steady")
    said: list[str] = []
    assert stack.start(stand_in.data, detach=True, say=said.append) is False
    assert said[0] == "already running:"
    assert len(said) == 3


def test_ports_and_secrets_survive_a_restart_and_a_killed_supervisor(stand_in: StandIn):
    first = stand_in.up("steady")
    before = stack.environment(stand_in.data)
    first.kill()
    first.communicate(timeout=30)
    stand_in.up("steady")
    assert stack.environment(stand_in.data) == before


def test_a_damaged_state_file_is_made_anew(stand_in: StandIn):
    stand_in.up("steady").terminate()
    wait_until(lambda: stand_in.status.phase is Phase.DOWN, "it is down")
    (stand_in.data / "stack.json").write_text('{"version": 1, "por')
    assert stand_in.status.parts == ()
    stand_in.up("steady")


def test_two_stacks_run_side_by_side(stand_in: StandIn, tmp_path):
    other = StandIn(tmp_path / "other")
    try:
        stand_in.up("steady")
        other.up("steady")
        ports = [
            {stack.environment(data)[name] for name in ("DAILIES_SERVICE__PORT", "PREFECT_API_URL")}
            for data in (stand_in.data, other.data)
        ]
        assert ports[0].isdisjoint(ports[1])
        stack.stop(other.data)
        assert stand_in.status.is_up
        assert len(stand_in.running) > 0
    finally:
        other.close()


def test_secrets_are_private_and_never_shown(stand_in: StandIn):
    stand_in.up("steady")
    assert (stand_in.data / "stack.json").stat().st_mode & 0o077 == 0
    environment = stack.environment(stand_in.data)
    shown = stand_in.status.model_dump_json()
    for name in ("DAILIES_STORAGE__SECRET_KEY", "DAILIES_STORAGE__ACCESS_KEY", "DAILIES_EVENTS__TOKEN"):
        assert len(environment[name]) >= 20
        assert environment[name] not in shown
