"""Tables of contents: the Prefect flows."""
