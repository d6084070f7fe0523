"""The command `metaclip`: one module for each group of subcommands, and `show/` for the output on a terminal.

`main` holds the command itself. It is imported when the command runs, so that a process that needs one
module of this package, such as the local server, does not import all commands.
"""

from metaclip.processes import interrupts

__all__ = ["app"]


def app() -> None:
    """Run the command `metaclip`; an interrupt ends it in one line from here on, imports included."""
    interrupts.end_at_once()
    from metaclip.processes.plain_text import end_visibly

    end_visibly()
    from flows.cli.main import app as command

    command(prog_name="metaclip")
