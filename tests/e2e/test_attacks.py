"""Every attack through the whole product: each ends as a verdict or a film, and who uploads next does not notice."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from core.settings import MediaSettings
from media.tools import find_tools
from tests.hostile.attacks import ATTACKS
from tests.hostile.kit import Watch, listening, make_kit

if TYPE_CHECKING:
    from tests.conftest import Live

ENDED = ("indexed", "rejected", "failed")


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_every_attack_is_uploaded_and_the_next_good_film_is_indexed(
    live: "Live", make_clip: Callable[..., Path], tmp_path: Path
):
    before = live.part("worker")
    with listening() as (tcp, udp, calls), ExitStack() as stack:
        kit = make_kit(find_tools(MediaSettings(threads=2)), tmp_path, tcp, udp)
        watch = Watch(kit.neighbour.parent)
        stack.callback(watch.close)
        keys = {}
        for number, (name, attack) in enumerate(ATTACKS.items()):
            path = tmp_path / f"attack-{number}.mp4"
            path.write_bytes(attack(kit))
            keys[name] = live.put(path)
            path.unlink()
        watch.was_read()  # making them did

        def ended() -> dict[str, dict[str, Any]] | None:
            found = {name: live.videos(key) for name, key in keys.items()}
            videos = {name: videos[0] for name, videos in found.items() if videos}
            done = len(videos) == len(keys) and all(video["status"] in ENDED for video in videos.values())
            return videos if done else None

        videos = live.wait_for(ended, "every attack has ended", 2000, every_s=5)
        assert not calls()
        assert not watch.was_read()
    print(f"{len(videos)} attacks: {dict(Counter(video['status'] for video in videos.values()))}")
    assert not {name: video["error"] for name, video in videos.items() if video["status"] == "failed"}
    assert live.part("worker") == before, "the worker was started again"
    assert live.ingest(make_clip("after-attacks.mp4"))["status"] == "indexed"
