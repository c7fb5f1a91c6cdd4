"""Puts one stack together and runs it in this process until a signal ends it."""

import shutil
import time
from collections.abc import Callable

import psutil

from core.agreed import EVENTS_PATH
from core.errors import DailiesError
from core.version import VERSION
from deployments.embedded import lock
from deployments.embedded.account import account_for_postgres, closed_folders
from deployments.embedded.application import bootstrap_part, service_part
from deployments.embedded.environment import buckets, surroundings, work_pool
from deployments.embedded.layout import Layout
from deployments.embedded.leftovers import MARK, end_leftovers
from deployments.embedded.parts import Part
from deployments.embedded.ports import LOOPBACK, choose_ports
from deployments.embedded.postgres import postgres_part, programs
from deployments.embedded.state import PartStatus, Phase, StackState, at_rest, read_state, write_state
from deployments.embedded.store import PORT_FLAGS, Access, Webhook, store_part
from deployments.embedded.supervisor import Supervisor
from deployments.embedded.workflow import server_part, worker_part


def parts_of(layout: Layout, state: StackState) -> tuple[Part, ...]:
    """Describe every part of a stack, in the order in which they start."""
    ports = state.ports
    service, workflow = f"http://{LOOPBACK}:{ports['service']}", f"http://{LOOPBACK}:{ports['prefect']}"
    return (
        *stores_of(layout, state),
        server_part(layout, ports["prefect"]),
        bootstrap_part(layout),
        service_part(layout, service),
        worker_part(layout, f"{workflow}/api", work_pool()),
    )


def stores_of(layout: Layout, state: StackState) -> tuple[Part, ...]:
    """Describe the parts that keep what must not be lost: the database and the objects."""
    ports, secrets = state.ports, state.secrets
    uploads, derived = buckets()
    return (
        postgres_part(layout.postgres, layout.log("postgres")),
        store_part(
            layout.store,
            layout.log("store"),
            ports=ports,
            access=Access(f"{LOOPBACK}:{ports['s3.port']}", secrets.access_key, secrets.secret_key),
            buckets=(uploads, derived),
            webhook=Webhook(f"http://{LOOPBACK}:{ports['service']}{EVENTS_PATH}", secrets.token, uploads),
        ),
    )


def supervise(
    layout: Layout,
    say: Callable[[str], None],
    assemble: Callable[[Layout, StackState], tuple[Part, ...]] = parts_of,
) -> None:
    """Start every part, keep them alive, end them all at SIGINT or SIGTERM.

    Args:
        assemble: describes the parts; a test may want fewer.
    Raises:
        AlreadyLocked: another process does this already.
        StackFailed: a part did not start; nothing of it is left, and stack.json says why.
    """
    with lock.hold(layout.lock):
        before = read_state(layout) or StackState()
        state = StackState(
            phase=Phase.STARTING, release=VERSION, supervisor=psutil.Process().pid, secrets=before.secrets
        )
        write_state(layout, state)
        try:
            if left := end_leftovers(layout):
                say(f"ended what an earlier stack left running: {', '.join(left)}")
            shutil.rmtree(layout.temporary, ignore_errors=True)
            layout.make()
            state = state.model_copy(update={"ports": choose_ports(("service", "prefect", *PORT_FLAGS), before.ports)})
            _say_account(layout, say)
            _run(layout, state, assemble(layout, state), say)
        except DailiesError as error:
            write_state(layout, at_rest(read_state(layout) or state, Phase.FAILED, str(error)))
            raise
        write_state(layout, at_rest(read_state(layout) or state, Phase.DOWN))


def _run(layout: Layout, state: StackState, parts: tuple[Part, ...], say: Callable[[str], None]) -> None:
    began = time.monotonic()
    was_up = False

    def record(phase: Phase, statuses: tuple[PartStatus, ...]) -> None:
        nonlocal was_up
        write_state(layout, state.model_copy(update={"phase": phase, "parts": statuses}))
        if phase is Phase.UP and not was_up:
            was_up = True
            urls = {part.name: part.url for part in statuses}
            say(f"up in {time.monotonic() - began:.1f} s: {urls.get('service')}  (Prefect UI: {urls.get('prefect')})")

    for part in parts:
        part.sweep()
    try:
        Supervisor(parts, surroundings(layout, state, MARK), record=record, say=say).run()
    finally:
        end_leftovers(layout)


def _say_account(layout: Layout, say: Callable[[str], None]) -> None:
    """Tell root what is done on its behalf."""
    account = account_for_postgres()
    if account is None:
        return
    closed = dict.fromkeys((*closed_folders(layout.postgres), *closed_folders(programs())))
    passage = f"; other accounts may now pass through (not list) {', '.join(map(str, closed))}" if closed else ""
    say(f"Postgres does not run as root: it runs as {account.name}, who owns {layout.postgres}{passage}")
