"""What two parts must say alike is said alike by those that spell it out themselves."""

from core.agreed import RESULT_BLOCK
from tasks.result_store import BLOCK_NAME, DailiesManifests


def test_every_process_is_told_the_block_in_which_results_are_kept() -> None:
    assert f"{DailiesManifests._block_type_slug}/{BLOCK_NAME}" == RESULT_BLOCK
