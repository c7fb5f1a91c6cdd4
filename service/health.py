"""Is this process alive, and can it do its work?"""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from core.errors import DailiesError
from core.version import VERSION
from models.session import ping
from service.door import DoorOf
from service.errors import sentence_for

router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive() -> dict[str, str]:
    """Answer as long as the process lives, and say which Dailies it runs."""
    return {"status": "ok", "version": VERSION}


@router.get("/readyz")
def ready(door: DoorOf) -> JSONResponse:
    """Answer 200 when database and store answer, else 503 and what is wrong."""
    checks: dict[str, Callable[[], None]] = {
        "database": lambda: ping(door.settings.database),
        "store": door.store.ping,
    }
    problems = {}
    for name, check in checks.items():
        try:
            check()
        except DailiesError as error:
            problems[name] = sentence_for(error)
    if not problems:
        return JSONResponse({"status": "ok", "version": VERSION})
    message = " ".join(f"{name}: {sentence}" for name, sentence in problems.items())
    return JSONResponse({"error": "unready", "message": message, "problems": problems}, status_code=503)
