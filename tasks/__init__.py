"""Prefect tasks: one thin module a stage."""
