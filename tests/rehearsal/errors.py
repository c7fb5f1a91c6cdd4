"""How a rehearsal says that the compose file does not work."""


class RehearsalFailed(Exception):
    """What docker-compose.yml describes does not run."""
