"""What a flow run has done so far: its outputs by stage, and the summary made of them."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from prefect import Task, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.subflows import run_in_parts
from metaclip.config.settings import Config, format_t
from metaclip.pool.record import write_record
from metaclip.report.job import PAGE, REPORT
from metaclip.report.planned import PlannedReport
from metaclip.stages.curate import CuratedSetJob
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.checkpoint import Done
from tasks.report import publish, report
from tasks.stages import curate_part, curate_set, curve, survey

SINGLE = ("metadata", "source", "partition", "survivors", "count", "report")
"""Stages with one output for the whole pool; the record names it without a list."""


NOTHING_NEW = "Nothing new"
"""The name of the state that such a run ends in."""

COUNTED = ("ngrams", "titles")
"""Stages that the metadata is built of; the finished pool needs them no longer."""


class Run:
    """Runs tasks and remembers what they handed on."""

    def __init__(self, config: Config, survivors_of: str | None = None) -> None:
        self.config = config
        self.survivors_of = survivors_of
        self.store = Store(config.storage)
        self._started = time.monotonic()
        self._done: dict[str, list[Done]] = {}
        self._curated: Reference | None = None
        self._report: dict[str, Any] | None = None

    def do(self, task: Task[..., Any], *arguments: tuple[Any, ...]) -> tuple[Reference, ...]:
        """Run a task for each tuple of arguments (once without any, where none is given)."""
        done = run_in_parts(task, self.config, arguments or [()])
        self.add(done)
        return tuple(one.reference for one in done)

    def add(self, done: Iterable[Done]) -> None:
        """Remember what another flow did."""
        for one in done:
            self._done.setdefault(one.stage, []).append(one)

    def recall(self, stages: Mapping[str, Any], *names: str) -> None:
        """Remember outputs of an earlier run by the pool's record."""
        for name in names:
            self.add(Done(name, reference, True, 0.0) for reference in self.recorded(stages, name))

    def recorded(self, stages: Mapping[str, Any], name: str) -> tuple[Reference, ...]:
        """Return the outputs of a stage that a pool's record names."""
        addresses = [stages[name]] if name in SINGLE else stages[name]
        manifests = [self.store.manifest(address) for address in addresses]
        return tuple(
            Reference(address, manifest.key, manifest.rows)
            for address, manifest in zip(addresses, manifests, strict=True)
        )

    def outputs(self, stage: str) -> tuple[Reference, ...]:
        """Return the outputs of a stage in the order of its tasks."""
        return tuple(one.reference for one in self._done.get(stage, []))

    def curate(self, balanced: tuple[Reference, ...]) -> None:
        """Cut all partitions at the configured t into one set."""
        whole = CuratedSetJob(balanced, self.config.balance.threshold, self.config.curate.rows_per_file)
        self.do(curate_part, *((part,) for part in whole.parts()))
        (self._curated,) = self.do(curate_set, (whole,))

    def report(self) -> None:
        """Report on the set, and make it part of the pool's record."""
        assert self._curated is not None
        (metadata,), (counts,) = self.outputs("metadata"), self.outputs("count")
        extracted, matched, unique = (self.outputs(stage) for stage in ("extract", "match", "dedup"))
        t, balanced, survived = self.config.balance.threshold, self.outputs("balance"), self.outputs("survive")
        planned = PlannedReport.of(
            metadata, extracted, matched, unique, survived, counts, balanced, self._curated, t, self.config.card
        )
        self.make(planned)
        stages = {
            name: done[0].reference.manifest if name in SINGLE else [one.reference.manifest for one in done]
            for name, done in self._done.items()
            if name not in ("curate", *COUNTED)
        }
        write_record(self.store, self.config, stages, format_t(t), [self._curated.manifest], self.survivors_of)

    def make(self, planned: PlannedReport) -> None:
        """Make a report and show it in the run."""
        self.do(curve, *((job,) for job in planned.curves))
        self.do(survey, *((job,) for job in planned.surveys))
        (reported,) = self.do(report, (planned.report,))
        self._curated = planned.report.parts.curated
        self._report = self.store.output_json(reported.manifest, REPORT)
        publish(self.config, self.store.address(f"{reported.folder}/{PAGE}"), self._report)

    def summary(self) -> dict[str, Any]:
        """Return what was done, as JSON values.

        `stages` has for each stage its tasks, how many were found in the store (`cached`), and for
        the others the seconds of worker time, MB read and MB read a second. `crawls` has the names
        of the crawls where the source has any.
        """
        summary: dict[str, Any] = {
            "pool": self.config.pool,
            "storage": self.config.storage,
            "t": format_t(self.config.balance.t),
            "seconds": round(time.monotonic() - self._started, 3),
            "stages": [self._stage_summary(name, done) for name, done in self._done.items()],
        }
        if self.config.source.crawl:
            summary["crawls"] = self.config.source.crawl
        if self._curated is not None:
            summary["curated"] = self.store.address(self._curated.folder)
        if self._report is not None:
            folder = self.outputs("report")[-1].folder
            summary["report"] = self.store.address(f"{folder}/{REPORT}")
            summary["report_page"] = self.store.address(f"{folder}/{PAGE}")
            summary["funnel"] = self._report["funnel"]
            summary["entries"] = self._report["entries"]
            if "survivors" in self._report:
                summary["survivors"] = self._report["survivors"]
            summary["top_entries"] = self._report["top_entries"][:10]
        return summary

    def nothing_new(self) -> State[dict[str, Any]]:
        """Return the state of a run that has nothing to do: the newest crawl is part of the pool."""
        message = (
            f"nothing new: pool {self.config.pool} has {', '.join(self.config.source.crawl)}, and all of it stands"
        )
        get_run_logger().info(message)
        summary = self.summary() | {"nothing_new": True, "message": message}
        return Completed(name=NOTHING_NEW, message=message, data=summary)

    def _stage_summary(self, name: str, done: list[Done]) -> dict[str, Any]:
        computed = [one for one in done if not one.cached]
        seconds = sum(one.seconds for one in computed)
        read = 0
        for one in computed:
            counts = self.store.manifest(one.reference.manifest).statistics.get("counts", {})
            read += counts.get("bytes_read", 0)
        summary: dict[str, Any] = {"stage": name, "tasks": len(done), "cached": len(done) - len(computed)}
        if computed:
            summary |= {"seconds": round(seconds, 3), "megabytes": round(read / 1e6, 3)}
            if read and seconds:
                summary["megabytes_per_second"] = round(read / 1e6 / seconds, 3)
        return summary
