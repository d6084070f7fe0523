"""The jobs that make the report of a set, known before any is done."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from metaclip.config.card import Card
from metaclip.explore.pool import FinishedPool
from metaclip.images.dedup.outputs import ImageOutputs
from metaclip.report.curves import CurveJob
from metaclip.report.job import ReportJob
from metaclip.report.pool_outputs import PoolOutputs, SetParts
from metaclip.report.survey import SurveyJob
from metaclip.store.job import Job
from metaclip.store.manifest import Reference


@dataclass(frozen=True)
class PlannedReport:
    """The jobs by partition, each once, and then the report."""

    curves: tuple[CurveJob, ...]
    surveys: tuple[SurveyJob, ...]
    report: ReportJob

    @classmethod
    def of(cls, pool: PoolOutputs, curated: Reference, t: float, card: Card) -> "PlannedReport":
        """Plan the report of the set `curated`, which was made from the pool's balanced partitions at t."""
        curves = tuple(CurveJob(part, pool.counts, pool.by_language) for part in pool.balanced)
        groups = pool.by_language.groups if pool.by_language else None
        of_pool = tuple(SurveyJob(part, math.inf, groups) for part in pool.balanced)
        of_set = tuple(SurveyJob(part, t, groups) for part in pool.balanced)
        parts = SetParts(pool, _outputs(curves), _outputs(of_pool), _outputs(of_set), curated)
        return cls(curves, of_pool if of_pool == of_set else of_pool + of_set, ReportJob(parts, t, card))

    @classmethod
    def of_pool(cls, pool: FinishedPool, t: float | None) -> "PlannedReport":
        """Plan the report of a finished pool's set at t, or at the pool's own.

        Raises:
            ConfigError: if the pool has no set for that t; the message names its sets.
        """
        chosen = pool.t(t)
        curated = pool.set(chosen)
        outputs = PoolOutputs(
            metadata=next(iter(pool.lists.values())),
            extracted=tuple(pool.all("extract")),
            matched=tuple(pool.all("match")),
            unique=tuple(pool.all("dedup")),
            counts=pool.one("count"),
            balanced=tuple(pool.all("balance")),
            survived=tuple(pool.all("survive")) if pool.survivors else (),
            lists=tuple(pool.lists.items()) if pool.by_language else (),
            by_language=pool.by_language,
            images=_images(pool),
        )
        return cls.of(outputs, curated, chosen, pool.config.card)


def _images(pool: FinishedPool) -> ImageOutputs | None:
    if "image-sheets" not in pool.stages:
        return None
    inspected, judged, keyed = (tuple(pool.all(name)) for name in ("inspect", "image-filter", "image-keys"))
    pairs = tuple(pool.all("image-pairs")) if "image-pairs" in pool.stages else ()
    return ImageOutputs(inspected, judged, keyed, pairs, pool.one("image-cover"), pool.one("image-sheets"))


def _outputs(jobs: Sequence[Job]) -> tuple[Reference, ...]:
    """Return references to the future outputs of jobs; their rows are not known yet."""
    return tuple(Reference(job.manifest, job.key, 0) for job in jobs)
