"""Errors, settings, fingerprints and the small values every layer shares."""
