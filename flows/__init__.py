"""Prefect flows: the order of the stages, and their parameters."""
