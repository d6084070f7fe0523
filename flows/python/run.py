"""Run a pool from Python, also within a running event loop, as a notebook has it."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from flows.cli.server.ahead import server_ahead, set_up_client
from metaclip.config.loading import load_config, parse_config
from metaclip.config.settings import Config
from metaclip.errors import ServerLostError
from metaclip.explore.pool import FinishedPool
from metaclip.opened.pool import Pool
from metaclip.prepare.jobs import check

_T = TypeVar("_T")


def run(
    config: Config | str | Path | Mapping[str, Any], overrides: Sequence[str] = (), *, progress: bool = True
) -> Pool:
    """Do what `metaclip.run` promises, see `metaclip.opened.run`."""
    if isinstance(config, str | Path):
        checked = load_config(Path(config), list(overrides))
    else:
        checked = config if isinstance(config, Config) else parse_config(dict(config))
    check(checked)
    summary = _outside_of_a_loop(lambda: _curate(checked, progress))
    return Pool(FinishedPool.open(checked.storage, checked.pool), summary)


def _curate(config: Config, show: bool) -> dict[str, Any]:
    set_up_client()
    lost: list[ServerLostError] = []
    with server_ahead():  # it starts while Prefect is imported here
        from flows.cli.server.local import prefect_api
        from flows.cli.show.summary import progress
        from flows.curate import curate
        from tasks.progress import watcher

        with progress(quiet=not show) as watch, prefect_api(lost.append):
            token = watcher.set(watch)
            try:
                summary: dict[str, Any] = curate(config)
            except Exception as error:
                if lost:
                    raise lost[0] from error
                raise
            finally:
                watcher.reset(token)
    return summary


def _outside_of_a_loop(call: Callable[[], _T]) -> _T:
    """Call in this thread, or in another where this one runs an event loop: Prefect would join that loop and wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    found: list[_T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:  # noqa: BLE001 (raised again where it was called)
            failed.append(error)

    thread = threading.Thread(target=contextvars.Context().run, args=(work,), name="metaclip.run", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
