"""Our own processes as parts of the stack: the one-shot bootstrap and the HTTP service."""

import sys
from pathlib import Path

import deployments
from deployments.embedded.health import is_ok
from deployments.embedded.layout import Layout
from deployments.embedded.parts import Part
from deployments.embedded.workflow import SERVICE


def code_folder() -> Path:
    """Folder that holds our packages: the checkout, or site-packages."""
    assert deployments.__file__ is not None
    return Path(deployments.__file__).resolve().parents[1]


def bootstrap_part(layout: Layout) -> Part:
    """Describe what makes tables, buckets, pools and deployments, and ends."""
    return Part(
        name="bootstrap",
        argv=(sys.executable, "-m", "deployments.bootstrap"),
        cwd=code_folder(),
        log=layout.log("bootstrap"),
        needs=("prefect", "store"),
        is_one_shot=True,
        start_within_s=300.0,  # migrations of a large database
    )


def service_part(layout: Layout, url: str) -> Part:
    """Describe the HTTP service that listens on `url`."""
    return Part(
        name="service",
        argv=(sys.executable, "-m", "service"),
        env=SERVICE,
        cwd=code_folder(),
        log=layout.log("service"),
        needs=("postgres", "store", "bootstrap"),
        is_ready=lambda: is_ok(f"{url}/readyz"),
        url=url,
    )
