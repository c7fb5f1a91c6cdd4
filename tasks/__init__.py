"""The only Prefect tasks: fetch, call, store."""
