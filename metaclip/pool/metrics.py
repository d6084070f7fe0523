"""Metrics of runs in the form of Prometheus, from the signs of life in a store alone.

Of each pool, the newest run of each flow is told. Neither the runs nor Prefect's server take part, so that metrics
say so, too, when these are gone.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from metaclip.errors import MetaclipError
from metaclip.io.addresses.credentials import hide
from metaclip.pool.run_log import ALIVE_SECONDS, RunState, StageState, read_run
from metaclip.store.store import Store

STATES = ("running", "waiting", "lost", "completed", "failed", "cancelled")
"""What a run can be: at work, behind another run of its pool, without a sign of life, or ended."""

_RUN = ("pool", "flow")
_STAGE = (*_RUN, "stage")


class RunMetrics(Collector):
    """Collects the metrics of all pools of a store whenever it is asked; what has not changed is not read again."""

    def __init__(self, storage: str, pools: Sequence[str] = ()) -> None:
        self._storage = storage
        self._pools = tuple(pools)
        self._read: dict[str, tuple[datetime, RunState | None]] = {}
        """By address, when the file was written that was read, and what it said."""

    @property
    def registry(self) -> CollectorRegistry:
        """A registry that has these metrics alone."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that the store is not read before it is asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; where the store cannot be read, only that it cannot."""
        where = hide(self._storage)
        up = GaugeMetricFamily(
            "metaclip_store_up", "Whether the store could be read (1) or not (0).", labels=["storage"]
        )
        try:
            runs = list(self._newest(Store(self._storage)))
        except (MetaclipError, OSError):
            up.add_metric([where], 0)
            yield up
            return
        up.add_metric([where], 1)
        yield up
        yield from _of_runs(runs)
        yield from _of_stages([run for run, _, _ in runs])

    def _newest(self, store: Store) -> Iterator[tuple[RunState, str, int]]:
        """Yield the newest run of each flow of each pool, what it is, and how many runs on workers it has."""
        written = {file.path: file.modified for file in store.files("runs") if file.path.endswith(".json")}
        now = max([datetime.now(UTC), *written.values()])
        self._read = {address: known for address, known in self._read.items() if address in written}
        runs: list[tuple[RunState, bool]] = []
        for address, modified in written.items():
            path = PurePosixPath(address)
            if self._pools and path.parent.name not in self._pools:
                continue
            known = self._read.get(address)
            # Runs on workers are told by the run that started them, so one look at each is enough.
            if known is None or (known[0] != modified and (known[1] is None or known[1].parent is None)):
                known = (modified, read_run(store, path.parent.name, path.stem))
                self._read[address] = known
            if known[1] is not None:
                runs.append((known[1], (now - modified).total_seconds() < ALIVE_SECONDS))
        newest: dict[tuple[str, str], tuple[RunState, bool]] = {}
        for run, lives in runs:
            at = (run.pool, run.flow)
            if run.parent is None and (at not in newest or run.started > newest[at][0].started):
                newest[at] = (run, lives)
        for at in sorted(newest):
            run, lives = newest[at]
            on_workers = sum(other.parent == run.run and alive for other, alive in runs)
            yield run, _state(run, lives), on_workers if run.state == "running" else 0


def _state(run: RunState, lives: bool) -> str:
    if run.state != "running":
        return run.state
    return "lost" if not lives else "waiting" if run.waits_for else "running"


def _of_runs(runs: Sequence[tuple[RunState, str, int]]) -> Iterator[Metric]:
    info = InfoMetricFamily("metaclip_run", "The newest run of a flow: its id and its machine.", labels=_RUN)
    state = GaugeMetricFamily(
        "metaclip_run_state", "1 for what the run is, 0 for what it is not.", labels=[*_RUN, "state"]
    )
    gauges = {
        name: GaugeMetricFamily(f"metaclip_run_{name}", about, labels=_RUN)
        for name, about in (
            ("start_timestamp_seconds", "When the run began."),
            ("last_sign_timestamp_seconds", "When it gave its last sign of life."),
            ("on_workers", "Runs on other workers that it has now."),
        )
    }
    counters = {
        name: CounterMetricFamily(f"metaclip_run_{name}", about, labels=_RUN)
        for name, about in (
            ("core_seconds", "Processor time taken, with all worker processes and runs on workers."),
            ("read_bytes", "Bytes read from the source and the store."),
            ("written_bytes", "Bytes written to the store."),
            ("requests", "Requests to object stores and web servers."),
        )
    }
    tasks = CounterMetricFamily(
        "metaclip_run_failed_outputs",
        "Outputs that could not be made, by the type of the error.",
        labels=[*_RUN, "reason"],
    )
    files = CounterMetricFamily(
        "metaclip_run_failed_files", "Files of the crawl that failed for good, by reason.", labels=[*_RUN, "reason"]
    )
    for run, what, on_workers in runs:
        labels = [run.pool, run.flow]
        info.add_metric(labels, {"run": run.run, "host": run.host})
        for name in STATES:
            state.add_metric([*labels, name], int(name == what))
        gauges["start_timestamp_seconds"].add_metric(labels, run.started.timestamp())
        gauges["last_sign_timestamp_seconds"].add_metric(labels, run.updated.timestamp())
        gauges["on_workers"].add_metric(labels, on_workers)
        counters["core_seconds"].add_metric(labels, run.cost.core_seconds)
        counters["read_bytes"].add_metric(labels, run.cost.bytes_read)
        counters["written_bytes"].add_metric(labels, run.cost.bytes_written)
        counters["requests"].add_metric(labels, run.cost.requests)
        for family, reasons in ((tasks, run.failed_tasks), (files, run.failed_files)):
            for reason, count in sorted(reasons.items()):
                family.add_metric([*labels, reason], count)
    yield from (info, state, *gauges.values(), *counters.values(), tasks, files)


def _of_stages(runs: Sequence[RunState]) -> Iterator[Metric]:
    expected = GaugeMetricFamily("metaclip_stage_outputs_expected", "Outputs that the stage will have.", labels=_STAGE)
    outputs = CounterMetricFamily(
        "metaclip_stage_outputs",
        "Outputs of the stage: made, found in the store, or failed.",
        labels=[*_STAGE, "outcome"],
    )
    pairs = CounterMetricFamily("metaclip_stage_pairs", "Rows of the outputs that were made.", labels=_STAGE)
    read = CounterMetricFamily("metaclip_stage_read_bytes", "Bytes read for the outputs that were made.", labels=_STAGE)
    seconds = CounterMetricFamily("metaclip_stage_worker_seconds", "Time of worker processes at work.", labels=_STAGE)
    speed = GaugeMetricFamily(
        "metaclip_stage_read_megabytes_per_second", "MB read a second since the stage began.", labels=_STAGE
    )
    left = GaugeMetricFamily(
        "metaclip_stage_left_seconds", "Time until the last output at the rate so far, while it goes on.", labels=_STAGE
    )
    for run in runs:
        for name, stage in run.stages.items():
            labels = [run.pool, run.flow, name]
            expected.add_metric(labels, stage.total)
            made = stage.done - stage.cached
            for outcome, count in (("made", made), ("found", stage.cached), ("failed", stage.failed)):
                outputs.add_metric([*labels, outcome], count)
            pairs.add_metric(labels, stage.rows)
            read.add_metric(labels, stage.bytes_read)
            seconds.add_metric(labels, stage.seconds)
            if (taken := (stage.updated - stage.started).total_seconds()) > 0:
                speed.add_metric(labels, stage.bytes_read / 1e6 / taken)
            if (remaining := _left(run, stage)) is not None:
                left.add_metric(labels, remaining)
    yield from (expected, outputs, pairs, read, seconds, speed, left)


def _left(run: RunState, stage: StageState) -> float | None:
    """Return the seconds that a stage has left, as of its last output; None where that is not known."""
    if run.state != "running":
        return None
    if stage.done + stage.failed >= stage.total:
        return 0.0
    end = stage.projected_end()
    return None if end is None else max(0.0, (end - datetime.now(UTC)).total_seconds())
