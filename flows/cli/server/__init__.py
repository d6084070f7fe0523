"""Prefect's local server, for one command."""
