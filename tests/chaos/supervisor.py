"""The stack's own supervisor, with one change: the store announces uploads to the campaign, which passes them on or not.

Run as `python -m tests.chaos.supervisor DATA`, with CHAOS_WEBHOOK naming the campaign's address.
"""

import os
import sys
from pathlib import Path

from deployments.embedded.assembly import parts_of, supervise
from deployments.embedded.environment import buckets
from deployments.embedded.layout import Layout
from deployments.embedded.parts import Part
from deployments.embedded.ports import LOOPBACK
from deployments.embedded.state import StackState
from deployments.embedded.store import Access, Webhook, store_part

WEBHOOK = "CHAOS_WEBHOOK"


def parts(layout: Layout, state: StackState) -> tuple[Part, ...]:
    """The parts of a stack, its store's webhook redirected."""
    uploads, derived = buckets()
    store = store_part(
        layout.store,
        layout.log("store"),
        ports=state.ports,
        access=Access(f"{LOOPBACK}:{state.ports['s3.port']}", state.secrets.access_key, state.secrets.secret_key),
        buckets=(uploads, derived),
        webhook=Webhook(os.environ[WEBHOOK], state.secrets.token, uploads),
    )
    return tuple(store if part.name == "store" else part for part in parts_of(layout, state))


if __name__ == "__main__":
    here = Layout.of(Path(sys.argv[1]))
    here.make()
    supervise(here, lambda line: print(line, flush=True), parts)
