"""The `dailies` command."""
