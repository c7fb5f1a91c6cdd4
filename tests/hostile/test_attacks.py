"""Every attack ends as a verdict or as an indexed film, and touches nothing but itself."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.errors import EncoderKilled
from core.settings import LimitSettings, MediaSettings
from media import jail, launcher
from media.allowed import file_arg
from media.layers import LayerName, tripwire, without
from media.tools import Tools, find_tools
from tests.conftest import wait_for
from tests.hostile.attacks import ATTACKS
from tests.hostile.kit import CANARY, Kit, Watch, listening, make_kit
from tests.hostile.verdicts import INDEXED, Ending, ending

#: Seconds, of which a busy machine takes most; the largest process in bytes; bytes that one film may become.
_WALL_S, _MEMORY, _OUTPUTS = 60, 2 << 30, 8 << 20
ACTIVE = {layer.name for layer in jail.layers() if layer.active}
#: Bytes by which a neighbour's magenta picture is known: (r, g, b) of a small picture.
_MAGENTA = (200, 80, 200)
#: Where one verdict alone is right; any other attack may be rejected for any reason, or be a film like others.
EXPECTED = {
    "hls-absolute": "playlist_not_allowed",
    "pixels-untold": "too_many_pixels",
    "pixels-h264": "too_many_pixels",
    "pictures-fast": "frame_rate_too_high",
    "hours-movie": INDEXED,
    "hours-media": "implausible_header",
    "hours-mkv": INDEXED,
    "hours-one-picture": "too_long",
    "edits-repeated": "implausible_header",
    "tracks-40": "too_many_streams",
    "film-and-zip": INDEXED,
    "mkv-attached-font": INDEXED,
}


@dataclass(frozen=True)
class Range:
    """Where attacks are tried: the kit, who listens, and who watches the neighbour."""

    kit: Kit
    calls: Callable[[], list[str]]
    watch: Watch
    tools: Tools
    limits: LimitSettings

    def attack(self, name: str, *missing: LayerName) -> Ending:
        """Upload an attack without these layers; hold against everything that must never happen."""
        path = self.kit.folder / "upload"
        path.write_bytes(ATTACKS[name](self.kit))
        self.watch.was_read()
        before = largest_child()
        with without(*missing), tripwire():
            end = ending(path, self.tools, self.limits)
        assert largest_child() in range(_MEMORY) or largest_child() == before, f"{name} took {largest_child()} bytes"
        assert not self.calls(), f"{name} called a server"
        assert not self.watch.was_read(), f"{name} read a neighbour"
        assert CANARY not in end.outputs or CANARY in path.read_bytes(), f"{name} let a neighbour's words out"
        assert CANARY.decode() not in end.sentence
        assert not shows_neighbour(end, self.tools, self.kit.folder), f"{name} shows a neighbour's pictures"
        assert end.wall_s < _WALL_S, f"{name} took {end.wall_s:.0f} s"
        assert len(end.outputs) < _OUTPUTS
        return end


def largest_child() -> int:
    """Give the bytes of the largest child process that has ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def shows_neighbour(end: Ending, tools: Tools, folder: Path) -> bool:
    """Whether the proxy holds a picture that is magenta all over, as the neighbour's are."""
    if not end.is_indexed:
        return False
    proxy = folder / "proxy.mp4"
    proxy.write_bytes(end.proxy)
    args = ["-v", "error", "-i", file_arg(proxy), "-vf", "scale=1:1,format=rgb24", "-f", "rawvideo", "pipe:1"]
    with launcher.stream_ffmpeg(tools, args) as process:
        colours = process.read_all(1 << 24)
        process.finish()
    assert colours
    red, green, blue = _MAGENTA
    triples = zip(colours[::3], colours[1::3], colours[2::3], strict=True)
    return any(r > red and g < green and b > blue for r, g, b in triples)


@pytest.fixture(scope="module")
def range_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    tools = find_tools(MediaSettings(threads=2))
    folder = tmp_path_factory.mktemp("range")
    with listening() as (tcp, udp, calls), ExitStack() as stack:
        kit = make_kit(tools, folder, tcp, udp)
        watch = Watch(kit.neighbour.parent)
        stack.callback(watch.close)
        yield Range(kit, calls, watch, tools, LimitSettings())
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_as_a_verdict_or_as_a_film(name, range_):
    end = range_.attack(name)
    assert end.is_proper, f"{end.verdict}: {end.sentence}"
    assert end.verdict == EXPECTED.get(name, end.verdict)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("missing", LayerName)
def test_no_attack_needs_more_than_one_layer_missing(missing, range_):
    """Two layers at least stand before each: without any single one of them every attack still ends properly."""
    ends = {name: range_.attack(name, missing) for name in ATTACKS}
    assert not {name: (end.verdict, end.sentence) for name, end in ends.items() if not end.is_proper}


@pytest.mark.parametrize(
    "name",
    ["-i", "--", "-y.mp4", "two\nlines.mp4", "ünï☃.mp4", "x" * 255, "pipe:0", "$(touch x).mp4", "a|b;c.mp4", "*"],
)
def test_a_film_under_any_name_is_indexed(name, range_):
    """The product gives its own name to what it fetches; even an uploader's would be no option and no address."""
    path = range_.kit.folder / "names" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(range_.kit.film)
    with tripwire():
        assert ending(path, range_.tools, range_.limits).verdict == INDEXED
    assert sorted(path.parent.iterdir()) == [path]
    path.unlink()


def test_after_the_attacks_the_next_good_film_is_indexed(range_):
    path = range_.kit.folder / "upload"
    path.write_bytes(range_.kit.film)
    with tripwire():
        end = ending(path, range_.tools, range_.limits)
    assert (end.verdict, end.frames) == (INDEXED, 10)
    assert not shows_neighbour(end, range_.tools, range_.kit.folder)


def test_a_neighbour_is_seen_to_be_read_where_nothing_stands_before_it(range_):
    """The control: the watch and the magenta pictures do show what an unguarded ffmpeg would let out."""
    path = range_.kit.folder / "upload"
    path.write_bytes(ATTACKS["concat-relative"](range_.kit) + b"# long enough\n" * 50)
    range_.watch.was_read()
    guards = {LayerName.SNIFF, LayerName.PROTOCOLS, LayerName.DEMUXERS, LayerName.LANDLOCK}
    with without(*guards):
        end = ending(path, range_.tools, range_.limits)
    assert range_.watch.was_read()
    assert shows_neighbour(end, range_.tools, range_.kit.folder)


@pytest.mark.skipif(LayerName.SECCOMP not in ACTIVE, reason="this kernel has no seccomp")
def test_a_socket_that_is_only_tried_ends_the_process(range_):
    """The other control: what the attacks run under notices an attempt that goes nowhere."""
    code = f"import socket; socket.create_connection(('127.0.0.1', {range_.kit.tcp}))"
    argv = ["/usr/bin/env", "python3", "-I", "-S", "-c", code]
    with tripwire(), pytest.raises(EncoderKilled, match="SIGSYS"):
        launcher.run(argv, stall_timeout_s=10)
    with without(LayerName.SECCOMP, LayerName.LANDLOCK):
        launcher.run(argv, stall_timeout_s=10)
    wait_for(range_.calls, "the listener has noted the call", 10)
    assert range_.calls() == ["tcp"]
    range_.calls().clear()
