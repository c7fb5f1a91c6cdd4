"""The scheduled reconcile: what was lost between bucket, inbox, database and Prefect is found and set right."""

from prefect import flow

from core.settings import get_settings
from core.version import VERSION
from dispatch.reconcile import reconcile, set_right_so_far
from tasks.report import reconciled


@flow(name="reconcile", version=VERSION, retries=0)
def reconcile_flow() -> None:
    """Find lost work and set it right; the service does the same every minute by itself."""
    settings = get_settings()
    result = reconcile(settings)
    reconciled(None if result is None else result.model_dump(), set_right_so_far(settings))
