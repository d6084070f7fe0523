"""`metaclip.run`: the one call of this package that needs Prefect, which `flows` brings when it is made."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from metaclip.config.settings import Config
from metaclip.opened.pool import Pool


def run(
    config: Config | str | Path | Mapping[str, Any], overrides: Sequence[str] = (), *, progress: bool = True
) -> Pool:
    """Curate a pool and open it; outputs of earlier runs in the store are used again.

    Takes care of the Prefect server: the one that is configured (`PREFECT_API_URL`, or a profile), or one that lives
    as long as this call. Works within a running event loop, as a notebook has one. A script calls it under
    `if __name__ == "__main__":`, because worker processes are started.

    Args:
        config: a configuration, its YAML file, or its fields as a mapping.
        overrides: with a file, fields to change, such as `balance.t=50`.
        progress: show bars on standard error.

    Returns:
        The finished pool; its `summary` is what `metaclip run --json` prints.

    Raises:
        ConfigError, InputError: before any work, if something is missing or wrong.
        MetaclipError: as `metaclip run` ends with it.
    """
    # By name: nothing in this package depends on `flows`, which depends on it.
    made: Pool = import_module("flows.python.run").run(config, overrides, progress=progress)
    return made
