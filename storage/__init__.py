"""Object keys and the object store client."""
