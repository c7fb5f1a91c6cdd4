"""The diagram in docs/architecture.md shows the imports that the code makes."""

import re
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
ARROW = re.compile(r"^ *(\w+)(?:\[.*?\])? --> (\w+)", re.MULTILINE)

Arrows = set[tuple[str, str]]


def drawn() -> Arrows:
    """Read the arrows of the page's one diagram."""
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)
    return set(ARROW.findall(diagram))


def imported() -> Arrows:
    """Give which package imports which."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    graph = grimp.build_graph(*contracts["root_packages"], cache_dir=None)
    pairs = ((one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one))
    packages = ((one.partition(".")[0], other.partition(".")[0]) for one, other in pairs)
    return {(one, other) for one, other in packages if one != other}


def without_implied(arrows: Arrows) -> Arrows:
    """Leave out each arrow that a longer way replaces."""
    ways, longer = arrows, set()
    while ways:  # one step longer each time: nothing imports in a circle
        ways = {(first, last) for first, middle in ways for start, last in arrows if start == middle}
        longer |= ways
    return arrows - longer


def test_the_arrows_are_the_imports_that_do_not_follow_from_others():
    assert drawn() == without_implied(imported())
