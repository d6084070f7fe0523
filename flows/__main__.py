"""`python -m flows`, the same as the command `metaclip`."""

from flows.cli.main import app

app(prog_name="metaclip")
