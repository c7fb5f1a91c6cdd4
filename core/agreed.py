"""What two parts of Dailies must say alike, although neither may import the other."""

from typing import Final

#: Path on the service where the object store announces uploads.
EVENTS_PATH: Final = "/events/object-created"
#: Prefect's name of the block in which task results are kept: its type, then its own.
RESULT_BLOCK: Final = "dailies-manifests/main"
#: Seconds between two heartbeats of a flow run: the worker's environment sets them, an automation expects them.
#: Prefect allows no shorter interval.
HEARTBEAT_S: Final = 30
#: What the state says of a run that somebody who missed its heartbeats called Crashed: its process may live all the same.
SILENT: Final = "No heartbeat: its process was lost."
#: What it says of one that a worker took and never started.
NEVER_STARTED: Final = "Taken by a worker that never started it."
#: Names of states, completed ones: of an ingest run whose video's media is bad, and of a run that a newer attempt at its
#: video overtook.
REJECTED: Final = "Rejected"
SUPERSEDED: Final = "Superseded"
#: What is said of a backfill that its daily budget may end before it has done everything; takes the number of days.
BEGIN_ON_DAYS: Final = "its daily budget may end it before that: begin it on up to {:,} days"
