"""What two parts of Dailies must say alike, although neither may import the other."""

from typing import Final

#: Path on the service where the object store announces uploads.
EVENTS_PATH: Final = "/events/object-created"
#: Prefect's name of the block in which task results are kept: its type, then its own.
RESULT_BLOCK: Final = "dailies-manifests/main"
#: Seconds between two heartbeats of a flow run: the worker's environment sets them, an automation expects them.
#: Prefect allows no shorter interval.
HEARTBEAT_S: Final = 30
#: Name of the state, a completed one, that an ingest run ends in when its video's media is bad.
REJECTED: Final = "Rejected"
