"""How much memory the embedded Postgres takes for pages."""

import pytest

from deployments.embedded.postgres import shared_buffers_mb


@pytest.mark.parametrize(
    ("memory_bytes", "buffers_mb"),
    [(256 << 20, 128), (1 << 30, 256), (4 << 30, 1024), (8 << 30, 2048), (64 << 30, 2048)],
)
def test_a_quarter_of_the_memory_holds_pages_within_bounds(memory_bytes: int, buffers_mb: int) -> None:
    assert shared_buffers_mb(memory_bytes) == buffers_mb
