"""`python -m service`: serve on the configured address until SIGINT or SIGTERM."""

import logging

import uvicorn

from core.settings import get_settings
from service.app import create_app

#: Seconds that open downloads get to end when the service stops.
STOP_WITHIN_S = 5


def main() -> None:
    """Serve."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # One line a request to Prefect says nothing that its own log does not.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = get_settings()
    uvicorn.run(
        create_app(settings),
        host=settings.service.host,
        port=settings.service.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )


if __name__ == "__main__":
    main()
