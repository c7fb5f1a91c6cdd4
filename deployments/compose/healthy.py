"""`python -m deployments.compose.healthy URL`: exit 0 when it answers 2xx; what containers ask, with no tool installed."""

import sys
import urllib.error
import urllib.request

#: Below the timeout that docker-compose.yml gives a health check, so that the reason is seen in its log.
WITHIN_S = 8


def main() -> None:
    """Ask once."""
    if len(sys.argv) != 2:  # noqa: PLR2004
        sys.exit("usage: python -m deployments.compose.healthy URL")
    url = sys.argv[1]
    # A proxy for the outside world must not answer for a neighbour.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=WITHIN_S):
            pass
    except (urllib.error.URLError, OSError, ValueError) as error:
        sys.exit(f"{url}: {error}")


if __name__ == "__main__":
    main()
