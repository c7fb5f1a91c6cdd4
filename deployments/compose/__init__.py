"""What docker-compose.yml needs besides the parts themselves: secrets, health checks."""
