"""Pure video knowledge; no database, no object store, no Prefect."""
