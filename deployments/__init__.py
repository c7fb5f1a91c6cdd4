"""How Dailies is deployed and run."""
