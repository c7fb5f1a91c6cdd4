"""`python -m service`: serve on the configured address until SIGINT or SIGTERM."""

import uvicorn

from core.logs import configure
from core.settings import get_settings
from service.app import create_app

#: Seconds that open downloads get to end when the service stops.
STOP_WITHIN_S = 5


def main() -> None:
    """Serve."""
    settings = get_settings()
    configure(settings)
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
