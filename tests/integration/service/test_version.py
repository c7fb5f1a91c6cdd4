"""Every part says which Dailies it runs, so that an upgrade can be watched."""

import re
from importlib.metadata import version

from fastapi.testclient import TestClient

VERSION = version("dailies")


def test_probes_metrics_and_pages_tell_the_version(client: TestClient) -> None:
    assert client.get("/healthz").json()["version"] == VERSION
    assert client.get("/readyz").json()["version"] == VERSION
    assert f'dailies_info{{version="{VERSION}"}} 1.0' in client.get("/metrics").text
    page = client.get("/", headers={"accept": "text/html"}).text
    assert re.search(r"<footer>Dailies (.+)</footer>", page)[1] == VERSION  # type: ignore[index]
