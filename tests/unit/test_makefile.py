"""The Makefile's targets: each has one recipe, and `make help` names it."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_target_has_one_recipe_and_is_in_the_help() -> None:
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    # `make test` hands its own flags down, and a make below another one says where it works.
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    told = subprocess.run(["make", "help"], cwd=ROOT, env=surroundings, capture_output=True, text=True, check=True)
    assert told.stderr == "", "make warns about a target that is defined twice"
    assert sorted(line.split()[0] for line in told.stdout.splitlines()) == sorted(phony.split()[1:])
