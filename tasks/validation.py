"""Fetch a source and hold it against what is accepted."""

from core.settings import get_settings
from core.stages import Stage
from core.values import Ticket, ValidatedSource
from media.tools import find_tools
from media.validation import inspect, judge_size
from tasks import naming, scratch
from tasks.stage import stage_task


@stage_task(Stage.VALIDATE, name=naming.validate, task_run_name="validate {ticket.source.key}")
def validate(ticket: Ticket) -> ValidatedSource:
    """Fetch the source, hash it, sniff it, probe it, decode its ends.

    Raises:
        InvalidMedia: the verdict; never cached, so a rerun after changed limits validates anew.
    """
    settings = get_settings()
    judge_size(ticket.source.size_bytes, settings.limits)  # before it is fetched
    source, sha256 = scratch.source_copy(ticket)
    facts = inspect(source, find_tools(settings.media), settings.limits)
    return ValidatedSource(
        fingerprint=naming.validate(settings, ticket),
        sha256=sha256,
        size_bytes=ticket.source.size_bytes,
        facts=facts,
    )
