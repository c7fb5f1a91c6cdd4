"""The short form of the fault campaign; `make chaos` runs the long one."""

import os

import pytest

from tests.chaos import campaign
from tests.chaos.faults import KINDS

#: Another one each day tries other orders; a failure prints it.
SEED = int(os.environ.get("CHAOS_SEED", "20261123"))
#: One of each sort; the long form does them all.
KINDS_OF_SHORT_FORM = (
    "kill flow process",
    "kill postgres",
    "kill store",
    "terminate service",
    "drop webhooks",
    "answer to a write lost",
    "bug at a write",
)


def test_there_are_at_least_a_dozen_kinds_of_fault():
    assert len(KINDS) >= 12


@pytest.mark.timeout(420)
def test_a_short_campaign_loses_nothing_and_leaves_nothing():
    tally = campaign.run(SEED, minutes=0.6, uploads=8, faults=7, kinds=KINDS_OF_SHORT_FORM, settle_s=240)
    print(tally.table())
    assert campaign.report(tally, uploads=8, kinds=5) == [], tally.table()
