"""The short form of the fault campaign; `make chaos` runs the long one."""

import os

import pytest

from tests.chaos import campaign
from tests.chaos.faults import KINDS

#: Another one each day tries other orders; a failure prints it.
SEED = int(os.environ.get("CHAOS_SEED", "20261123"))


def test_there_are_at_least_a_dozen_kinds_of_fault():
    assert len(KINDS) >= 12


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_short_campaign_loses_nothing_and_leaves_nothing():
    tally = campaign.run(SEED, minutes=0.6, uploads=8, faults=6, settle_s=240)
    print(tally.table())
    assert campaign.report(tally) == [], tally.table()
