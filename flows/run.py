"""Run the tasks of a flow run, and remember their outputs by stage."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from prefect import Task

from flows.subflows import run_in_parts
from metaclip.config.settings import Config
from metaclip.pool.record import addresses_of
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.checkpoint import Done


class Run:
    """Runs tasks and remembers their results."""

    def __init__(self, config: Config, survivors_of: str | None = None, own_t: float | str | None = None) -> None:
        self.config = config
        self.survivors_of = survivors_of
        self.own_t = own_t
        """The t that stays the pool's own where this run tries another; None where the run's is."""
        self.store = Store(config.storage)
        self.started = time.monotonic()
        self.done: dict[str, list[Done]] = {}
        """The results of each stage's tasks; stages are in the order of their first task."""
        self.curated: Reference | None = None
        """The set that was made, or that is reported on."""
        self.near: Reference | None = None
        """The near misses of the pool, where they were counted."""
        self.report: dict[str, Any] | None = None
        """The report of the set, `report.json`."""

    def do(self, task: Task[..., Any], *arguments: tuple[Any, ...]) -> tuple[Reference, ...]:
        """Run a task for each tuple of arguments (once without arguments, if none is given)."""
        done = run_in_parts(task, self.config, arguments or [()])
        self.add(done)
        return tuple(one.reference for one in done)

    def add(self, done: Iterable[Done]) -> None:
        """Remember the results of another flow."""
        for one in done:
            self.done.setdefault(one.stage, []).append(one)

    def recall(self, stages: Mapping[str, Any], *names: str) -> None:
        """Remember outputs of an earlier run, from the pool's record."""
        for name in names:
            self.add(Done(name, reference, True, 0.0) for reference in self.recorded(stages, name))

    def recorded(self, stages: Mapping[str, Any], name: str) -> tuple[Reference, ...]:
        """Return the outputs of a stage that a pool's record names."""
        addresses = addresses_of(stages[name])
        manifests = [self.store.manifest(address) for address in addresses]
        return tuple(
            Reference(address, manifest.key, manifest.rows)
            for address, manifest in zip(addresses, manifests, strict=True)
        )

    def outputs(self, stage: str) -> tuple[Reference, ...]:
        """Return the outputs of a stage in the order of its tasks."""
        return tuple(one.reference for one in self.done.get(stage, []))
