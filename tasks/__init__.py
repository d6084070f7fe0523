"""Prefect tasks: one thin task for each stage."""
