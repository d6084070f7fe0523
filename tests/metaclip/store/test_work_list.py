"""Jobs are written down, read elsewhere, and are the same jobs."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaclip.balance.reference_axis import Rule as TRule
from metaclip.config.loading import parse_config
from metaclip.errors import StageError, StoreError
from metaclip.report.curves import CurveJob
from metaclip.report.survey import SurveyJob
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import TallySumJob
from metaclip.stages.curate import CuratedSetJob, CuratePartJob, OwnT, Removed
from metaclip.stages.dedup import DedupJob
from metaclip.stages.gather import GatherJob
from metaclip.stages.group_counts import ByLanguage
from metaclip.stages.source import ListingJob
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.work_list import JOBS, WorkListJob, read_work
from metaclip.survivors.filter_job import SurviveJob
from tasks.stages import KINDS, TakeOutJob
from tests.metaclip.config.test_loading import MINIMAL

A, B, C = (Reference(f"x-v1/{n:032x}/manifest.json", f"{n:032x}", n) for n in range(3))
LISTS = {"en": {"entries": "en.txt"}, "de": {"entries": "de.txt"}}
GROUPS = parse_config(MINIMAL | {"metadata": {"languages": LISTS}, "languages": {"reference": "en"}}).groups
assert GROUPS is not None
BY_LANGUAGE = ByLanguage(GROUPS, TRule("same", 1.5, 3))


def _parts(*of: Any, **more: Any) -> tuple[Job, ...]:
    return tuple(CuratedSetJob(*of, **more).parts())


JOBS_OF_EACH_KIND: list[tuple[Job, ...]] = [
    (GatherJob((A, B)), GatherJob((C,))),
    (DedupJob(A, 0, 2), DedupJob(A, 1, 2, GROUPS)),
    (TallySumJob((A, B)), TallySumJob((C,), GROUPS)),
    (BalanceJob(A, B, 7), BalanceJob(A, B, 2**63 - 1, BY_LANGUAGE)),
    _parts((A, B), math.inf, 1000, 7),
    _parts((A, B), 20.5, 1000, 7, GROUPS, OwnT((("de", 7.0), ("en", math.inf)), 30.0), (None, Removed(C, "ab" * 32))),
    (CurveJob(A, B), CurveJob(A, B, BY_LANGUAGE)),
    (SurveyJob(A, math.inf), SurveyJob(B, 20.0, GROUPS)),
]


@pytest.mark.parametrize("jobs", JOBS_OF_EACH_KIND, ids=lambda jobs: type(jobs[0]).__name__)
def test_jobs_that_are_read_are_those_that_were_written(tmp_path: Path, jobs: tuple[Job, ...]) -> None:
    store = Store(str(tmp_path))
    work = WorkListJob(jobs).run(store)
    assert read_work(store, work, KINDS, 0, len(jobs)) == list(jobs)
    assert read_work(store, work, KINDS, 1, 2) == [jobs[1]]


def test_every_kind_was_tried() -> None:
    assert {type(jobs[0]) for jobs in JOBS_OF_EACH_KIND} == set(KINDS.values()) - {SurviveJob, TakeOutJob}
    # Those of lists of survivors and of removals: test_pool_parts.


def test_the_list_of_the_same_jobs_is_the_same_output() -> None:
    jobs = (DedupJob(A, 0, 2), DedupJob(A, 1, 2))
    assert WorkListJob(jobs).key == WorkListJob(jobs).key != WorkListJob(jobs[:1]).key


def test_a_kind_that_is_not_known_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    work = WorkListJob((DedupJob(A, 0, 1),)).run(store)
    with pytest.raises(StoreError, match="does not know: DedupJob"):
        read_work(store, work, {"ListingJob": ListingJob}, 0, 1)


def _altered(store: Store, work: Reference, change: dict[str, Any]) -> None:
    """Change the first job of a list."""
    content = json.loads(store.read(f"{work.folder}/{JOBS}") or b"")
    content["jobs"][0] |= change
    whole = json.dumps(content).encode()
    store.write_whole(f"{work.folder}/{JOBS}", whole)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"seed": 8}, StageError, "must have the same version of this package"),
        ({"seed": "x"}, StoreError, "not a list of jobs"),
    ],
)
def test_other_jobs_than_those_that_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], error: type[Exception], told: str
) -> None:
    store = Store(str(tmp_path))
    work = WorkListJob((BalanceJob(A, B, 7),)).run(store)
    _altered(store, work, change)
    with pytest.raises(StoreError, match="altered"):
        read_work(store, work, KINDS, 0, 1)
    monkeypatch.setattr(Store, "read_bytes", lambda store, of, name: store.read(f"{of.folder}/{name}"))
    with pytest.raises(error, match=told):
        read_work(store, work, KINDS, 0, 1)


def test_ten_thousand_jobs_are_a_list_of_a_few_megabytes(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    key = "ab" * 16
    partitions = [Reference(f"dedup-v2/{n:032x}/manifest.json", f"{n:032x}", 10**7) for n in range(10_000)]
    jobs = tuple(BalanceJob(each, Reference(f"count-v2/{key}/manifest.json", key, 500_000), 0) for each in partitions)
    work = WorkListJob(jobs).run(store)
    assert store.size(f"{work.folder}/{JOBS}") < 10_000_000
    (last,) = read_work(store, work, KINDS, 9_999, 10_000)
    assert last == jobs[-1]
    parts = _parts(tuple(partitions), 20.0, 1000, 7)
    assert isinstance(parts[0], CuratePartJob)
    assert read_work(store, WorkListJob(parts).run(store), KINDS, 0, 50) == list(parts[:50])
    assert replace(parts[0], t=21.0) != parts[0]
