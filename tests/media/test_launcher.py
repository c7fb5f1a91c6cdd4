import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from core.errors import EncoderKilled, EncoderRejected, EncoderStalled
from core.failures import describe
from dispatch.failure_page import page
from media import launcher

ENDLESS = ["-re", "-f", "lavfi", "-i", "testsrc2=r=25:s=64x64"]


def gone(pid: int, deadline_s: float = 10) -> bool:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        threading.Event().wait(0.02)
    return False


def test_standard_output_and_error_come_back():
    done = launcher.run(["/bin/sh", "-c", "echo out; echo err >&2"], stall_timeout_s=10)
    assert done.stdout == b"out\n"
    assert done.stderr_tail == "err\n"


def test_the_environment_is_empty(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    names = launcher.run(["/usr/bin/env"], stall_timeout_s=10).stdout.decode()
    assert "s3cret" not in names
    assert {line.split("=")[0] for line in names.split()} == {"PATH", "LANG", "LC_ALL"}


def test_a_refusal_is_permanent_and_ends_with_the_last_lines():
    with pytest.raises(EncoderRejected, match=r"^sh ended with status 3\.\n4\n5\n6\n7\n8$"):
        launcher.run(["/bin/sh", "-c", "seq 1 8 >&2; exit 3"], stall_timeout_s=10)


def test_a_failed_runs_page_shows_the_sentence_and_then_the_last_lines():
    with pytest.raises(EncoderRejected) as caught:
        launcher.run(["/bin/sh", "-c", "echo one >&2; echo two >&2; exit 3"], stall_timeout_s=10)
    text = page(UUID(int=1), "Holiday", "transcode", *describe(caught.value), None, {})
    assert "sh ended with status 3.\n\n```text\none\ntwo\n```" in text


def test_a_signal_is_transient_and_named():
    with pytest.raises(EncoderKilled, match="SIGSEGV") as caught:
        launcher.run(["/bin/sh", "-c", "kill -SEGV $$"], stall_timeout_s=10)
    assert caught.value.signum == signal.SIGSEGV


@pytest.mark.parametrize("spare", [0, 1, 2, 3])
def test_a_system_that_starts_no_more_programs_now_is_tried_again(spare):
    # In a process of its own: the limit holds for everything that it opens.
    script = (
        "import resource, os\n"
        "from core.errors import TransientError\n"
        "from media import launcher\n"
        "launcher.run(['/bin/true'], stall_timeout_s=10)\n"
        "lowest = os.dup(0)\n"  # what is opened next gets this number
        "os.close(lowest)\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + {spare},) * 2)\n"
        "try:\n    launcher.run(['/bin/true'], stall_timeout_s=10)\n"
        "except TransientError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "could not be started: Too many open files." in done.stdout, done.stdout + done.stderr


def test_silence_is_a_stall():
    began = time.monotonic()
    with pytest.raises(EncoderStalled):
        launcher.run(["/bin/sleep", "60"], stall_timeout_s=0.5)
    assert time.monotonic() - began < 10


def test_progress_keeps_a_slow_process_alive(tools, tmp_path):
    args = [*ENDLESS, "-t", "2", "-f", "null", "-"]
    argv = [str(tools.ffmpeg), "-nostdin", *args]
    done = launcher.run(argv, cwd=tmp_path, stall_timeout_s=1.5, on_progress=lambda _: None)
    assert done.progress is not None
    assert done.progress.frame == 50


def test_a_process_that_floods_is_stopped():
    with pytest.raises(EncoderRejected, match="more than 1000000 bytes"):
        launcher.run(["/usr/bin/yes"], stall_timeout_s=10, stdout_limit=1_000_000)
    done = launcher.run(["/bin/sh", "-c", "yes | head -c 3000000 >&2"], stall_timeout_s=20)
    assert len(done.stderr_tail) < 200_000


def test_an_exception_in_the_callback_ends_the_process(tools, tmp_path):
    class Enough(Exception):
        pass

    def stop(_: launcher.Progress) -> None:
        raise Enough

    with pytest.raises(Enough):
        launcher.run_ffmpeg(tools, [*ENDLESS, "-f", "matroska", "out.mkv"], cwd=tmp_path, on_progress=stop)
    assert not [p for p in psutil.Process().children() if "ffmpeg" in p.name()]


def test_a_killed_parent_takes_the_media_process_along(tools, tmp_path):
    script = (
        "import os\nfrom pathlib import Path\nfrom core.settings import MediaSettings\n"
        "from media import launcher\nfrom media.tools import find_tools\n"
        f"launcher.run_ffmpeg(find_tools(MediaSettings()), {[*ENDLESS, '-f', 'matroska', 'out.mkv']!r},"
        f" cwd=Path({str(tmp_path)!r}), on_progress=lambda p: print(p.frame, flush=True))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(launcher.__file__).parents[1]
    )
    assert parent.stdout is not None
    assert parent.stdout.readline()
    (child,) = psutil.Process(parent.pid).children()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    assert gone(child.pid)


@pytest.mark.parametrize(
    "said",
    [r"[Eval @ 0x7f] 0.000000\n", r"0.000000\n", r"frame=    1 fps=0.0    \r1.000000\n"],
    ids=["8", "5", "5 glued"],
)
def test_pictures_decoded_for_others_sake_keep_a_process_alive_and_their_damage_does_not_count(said):
    passed = f"printf '{said}' >&2"
    damaged = "echo '[vist#0:0/h264 @ 0x7f] [dec:h264 @ 0x7f] corrupt decoded frame' >&2"
    script = f"for n in 1 2 3 4 5 6; do sleep 0.3; {damaged}; {passed}; done; {damaged}"
    done = launcher.run(["/bin/sh", "-c", script], stall_timeout_s=1)
    assert done.damage == {0: 1}
