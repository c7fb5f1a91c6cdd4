"""docker-compose.yml, played through where no Docker engine is: the same commands, environments and health checks."""
