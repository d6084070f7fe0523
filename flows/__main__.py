"""`python -m flows`, the same as the command `metaclip`."""

from flows.cli import app

app()
