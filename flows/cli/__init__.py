"""The command `metaclip`: one module for each group of subcommands, and `show/` for the output on a terminal.

`main` has the command itself. It is imported only when it is used, so that a process that needs one module
of this package, such as the local server, does not import all commands.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.cli.main import app

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from flows.cli.main import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
