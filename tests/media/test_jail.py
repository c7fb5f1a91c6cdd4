"""Attacks, each with every single layer taken away: another one must hold."""

import marshal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from core.errors import EncoderRejected, EncoderStalled, InvalidMedia, MissingDependency
from core.settings import LimitSettings, MediaSettings
from core.values import Rung
from media import jail, launcher
from media.allowed import file_arg, guard_args
from media.layers import KERNEL_LAYERS, LayerName, without
from media.rung_encoders import rung_args
from media.validation import inspect

ACTIVE = {layer.name for layer in jail.layers() if layer.active}
needs_landlock = pytest.mark.skipif(LayerName.LANDLOCK not in ACTIVE, reason="this kernel has no Landlock")
needs_seccomp = pytest.mark.skipif(LayerName.SECCOMP not in ACTIVE, reason="this kernel has no seccomp")
CANARY = b"canary-7f3a"


def shell(command: str, cwd: Path | None = None) -> bytes:
    return launcher.run(["/bin/sh", "-c", command], cwd=cwd, stall_timeout_s=10).stdout


def python(code: str) -> bytes:
    return launcher.run(["/usr/bin/env", "python3", "-I", "-S", "-c", code], stall_timeout_s=10).stdout


@pytest.fixture
def listener():
    """A port that remembers whether anybody came."""
    calls: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            calls.append("tcp")
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1], calls
    stop.set()
    thread.join()
    server.close()


def test_every_layer_says_what_it_does_or_why_it_is_missing():
    assert [layer.name for layer in jail.layers()] == list(KERNEL_LAYERS)
    assert all(layer.active or layer.sentence.startswith("degraded: ") for layer in jail.layers())


def test_a_jail_that_breaks_is_our_fault_and_no_verdict(monkeypatch):
    monkeypatch.setattr(jail, "_LIMITS", {"RLIMIT_NO_SUCH": 1})
    with pytest.raises(MissingDependency, match="the jail cannot be closed"):
        shell("true")


def test_a_jail_that_could_not_be_tried_is_not_taken_for_none(monkeypatch):
    """A busy machine must not run uploads outside of it: the question is asked again."""
    monkeypatch.setattr(jail, "_PROBE_TIMEOUT_S", 0.001)
    jail.layers.cache_clear()
    with pytest.raises(EncoderStalled):
        shell("true")
    monkeypatch.undo()
    assert {layer.name for layer in jail.layers() if layer.active} == ACTIVE


@needs_landlock
def test_what_lies_beside_the_program_cannot_be_read(tmp_path):
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\ncat "$(dirname "$0")/.env"\n')
    program.chmod(0o755)
    (tmp_path / ".env").write_bytes(CANARY)
    with pytest.raises(EncoderRejected, match="Permission denied"):
        launcher.run([str(program)], stall_timeout_s=10)


@needs_landlock
def test_only_the_system_and_the_input_can_be_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(CANARY)
    given = tmp_path / "given"
    given.write_text("input")
    with pytest.raises(EncoderRejected, match="Permission denied"):
        shell(f"cat {secret}")
    assert launcher.run(["/bin/sh", "-c", 'cat "${0#file:}"', f"file:{given}"], stall_timeout_s=10).stdout == b"input"


@needs_landlock
def test_only_the_output_folder_can_be_written(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    shell("echo made > file && mv file other && rm other && echo kept > result", cwd=inside)
    assert [path.name for path in inside.iterdir()] == ["result"]
    for command in (f"echo x > {outside}/file", f"rm {outside}", f"ln -s {outside} link"):
        with pytest.raises(EncoderRejected):
            shell(command, cwd=inside)


@needs_landlock
def test_a_link_in_the_output_folder_leads_nowhere(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(CANARY)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(secret)
    with pytest.raises(EncoderRejected, match="Permission denied"):
        shell("cat link", cwd=inside)


def policy_of(argv: list[str]) -> dict[str, Any]:
    policy = jail.confined(argv, Path("/work"))[-len(argv) - 1]
    return marshal.loads(bytes.fromhex(policy))


def rung(encoder: str) -> list[str]:
    return rung_args(
        Rung(name="360", width=640, height=360, crf=23, max_bitrate_kbps=800), MediaSettings(encoder=encoder)
    )


def test_an_encoder_on_the_gpu_gets_its_devices_and_address_space_and_nothing_else():
    usual = policy_of(["/usr/bin/ffmpeg", "-i", "file:/in_nvenc", *rung("libx264"), "out"])
    gpus = policy_of(["/usr/bin/ffmpeg", "-i", "file:/in_nvenc", *rung("h264_nvenc"), "out"])
    assert usual["devices"] == []
    assert gpus["devices"] == jail.gpu_devices()
    assert usual["limits"]["RLIMIT_AS"] > 0
    assert gpus["limits"] == {name: value for name, value in usual["limits"].items() if name != "RLIMIT_AS"}
    assert usual["read"] == ["/in_nvenc"]
    more = set(gpus["read"]) - set(usual["read"])
    assert "/proc/driver/nvidia" in more
    assert all(path.startswith(("/proc/", "/sys/bus/pci/", "/sys/devices/")) for path in more)
    assert {name: gpus[name] for name in ("layers", "write", "programs")} == {
        name: usual[name] for name in ("layers", "write", "programs")
    }


def test_the_devices_of_a_gpu_are_its_drivers_alone(tmp_path):
    theirs = {"nvidia0", "nvidia12", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"}
    for name in theirs | {"nvidia-modeset", "null", "sda", "nvram"}:
        (tmp_path / name).touch()
    assert {Path(path).name for path in jail.gpu_devices(tmp_path)} == theirs


@needs_landlock
@pytest.mark.parametrize(
    ("devices", "said"),
    [([], "Permission denied"), (["/dev/full"], "Inappropriate ioctl")],  # the driver's own word: we came through to it
    ids=["not named", "named"],
)
def test_a_device_is_driven_only_when_it_is_named(devices, said):
    drive = "import fcntl; fcntl.ioctl(open('/dev/full', 'r+b', buffering=0), 1)"
    python = Path(sys.executable).resolve()
    *start, policy, _ = jail.confined([str(python)], None)
    given = marshal.loads(bytes.fromhex(policy))
    given |= {"devices": devices, "programs": [*given["programs"], str(python.parents[1])]}
    argv = [*start, marshal.dumps(given).hex(), python, "-I", "-S", "-c", drive]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert said in done.stderr


def test_memory_is_bounded(tmp_path):
    with pytest.raises(EncoderRejected, match="MemoryError"):
        python("bytearray(1 << 40)")


@pytest.mark.parametrize("layer", [LayerName.SECCOMP, LayerName.LANDLOCK])
def test_no_connection_leaves_the_jail_whichever_layer_is_missing(listener, layer):
    port, calls = listener
    if not {LayerName.SECCOMP, LayerName.LANDLOCK} <= ACTIVE:
        pytest.skip("this kernel has one of the two layers at most")
    with without(layer), pytest.raises(EncoderRejected, match="PermissionError"):
        python(f"import socket; socket.create_connection(('127.0.0.1', {port}))")
    assert not calls


@needs_seccomp
def test_no_datagram_leaves_the_jail():
    with pytest.raises(EncoderRejected, match="PermissionError"):
        python("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))")


def playlist(neighbour: Path, port: int) -> dict[str, bytes]:
    """Playlists that would read a neighbour or call a server."""
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\n"
    url = f"http://127.0.0.1:{port}/secret.ts"
    return {
        "hls-file": f"{head}{neighbour}\n#EXT-X-ENDLIST\n".encode(),
        "hls-relative": f"{head}{neighbour.name}\n#EXT-X-ENDLIST\n".encode(),
        "hls-url": f"{head}{url}\n#EXT-X-ENDLIST\n".encode(),
        "hls-bom": b"\xef\xbb\xbf" + f"{head}{neighbour}\n#EXT-X-ENDLIST\n".encode(),
        "concat": f"ffconcat version 1.0\nfile {neighbour.name}\n".encode(),
        "dash": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT6S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet '
            f'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{url}</BaseURL></Representation>'
            "</AdaptationSet></Period></MPD>"
        ).encode(),
        "sdp": f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video {port} RTP/AVP 96\r\n".encode(),
    }


@pytest.mark.parametrize("attack", ["hls-file", "hls-relative", "hls-url", "hls-bom", "concat", "dash", "sdp"])
@pytest.mark.parametrize("missing", [None, *LayerName], ids=str)
def test_no_playlist_reads_a_neighbour_or_calls_a_server(
    attack, missing, film, make, tools, limits, listener, tmp_path
):
    port, calls = listener
    neighbour = tmp_path / "neighbour.ts"
    neighbour.write_bytes(make("neighbour.ts", "-i", str(film), "-c", "copy").read_bytes())
    upload = tmp_path / "source"
    upload.write_bytes(playlist(neighbour, port)[attack])
    with without(*([missing] if missing else [])), pytest.raises(InvalidMedia):
        inspect(upload, tools, limits)
    assert not calls


@pytest.mark.parametrize("missing", [None, LayerName.SIZES, LayerName.RLIMITS, LayerName.CODECS], ids=str)
def test_a_picture_far_too_large_costs_no_memory(missing, make, tools, limits):
    """The header is read before any picture is decoded, and refuses."""
    bomb = make("bomb.mkv", "-f", "lavfi", "-i", "color=black:r=1:s=9000x9000:d=1", "-c:v", "mjpeg", "-q:v", "31")
    with without(*([missing] if missing else [])), pytest.raises(InvalidMedia):
        inspect(bomb, tools, limits)


@pytest.mark.parametrize(
    "name", ["-i.mp4", "file:x.mp4", "a'b.mp4", "http:evil.mp4", "%d.mp4", "concat:a|b.mp4", "a\nb.mp4"]
)
def test_a_strange_name_is_only_a_name(name, film, tools, limits, tmp_path):
    path = tmp_path / name
    path.write_bytes(film.read_bytes())
    assert inspect(path, tools, limits).duration_s == 3


def test_the_allow_list_names_what_this_ffmpeg_has(tools):
    args = guard_args(LimitSettings())
    decoders = set(args[args.index("-codec_whitelist") + 1].split(","))
    assert {
        "h264",
        "hevc",
        "vp8",
        "vp9",
        "mpeg4",
        "mjpeg",
        "prores",
        "cinepak",
        "theora",
        "wmv2",
    } <= decoders & tools.decoders
    assert file_arg(Path("x")).startswith("file:/")
