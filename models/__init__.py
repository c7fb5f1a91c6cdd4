"""The one definition of every table, for every process."""
