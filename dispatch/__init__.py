"""The one place that asks Prefect for runs."""
