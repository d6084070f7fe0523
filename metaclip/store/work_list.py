"""Jobs as a file of the store, so that other workers can do them.

A job is a frozen dataclass of plain values and references, so it is written as JSON, by its fields. Nothing in the file
is run: whoever reads it says which classes of jobs there may be.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from metaclip.errors import StageError, StoreError
from metaclip.store.job import Job
from metaclip.store.manifest import Reference, one_line
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

JOBS = "jobs.json"


@dataclass(frozen=True)
class WorkListJob(Job):
    """Write down jobs of one class. No record names the output; `metaclip gc` removes it."""

    STAGE: ClassVar[str] = "work"
    VERSION: ClassVar[int] = 1

    jobs: tuple[Job, ...]

    def config(self) -> Mapping[str, Any]:
        """Return the class of the jobs."""
        return {"kind": type(self.jobs[0]).__name__}

    def inputs(self) -> list[str]:
        """Return the keys of the jobs."""
        return [job.key for job in self.jobs]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the fields of each job."""
        kind = type(self.jobs[0])
        fields = TypeAdapter(list[kind]).dump_python(list(self.jobs))  # type: ignore[valid-type]
        with output.file(JOBS) as sink:
            # A t may be infinite, which Python writes and reads as `Infinity`.
            sink.write(json.dumps({"kind": kind.__name__, "keys": self.inputs(), "jobs": fields}).encode())
        return {"jobs": len(self.jobs)}


def read_work(store: Store, work: Reference, kinds: Mapping[str, type[Job]], first: int, last: int) -> Sequence[Job]:
    """Return the jobs `first` to `last` - 1 of a list.

    Args:
        store: has the list.
        work: the output of `WorkListJob`.
        kinds: the classes of jobs that may be in it, by name.
        first: number of the first job, from 0.
        last: number after the last job.

    Raises:
        StoreError: if it cannot be read, or holds something else.
        StageError: if a job has another key here, so that its output would not be found by whoever wrote the list.
    """
    where = store.address(f"{work.folder}/{JOBS}")
    content = json.loads(store.read_bytes(work, JOBS))
    kind = kinds.get(content["kind"])
    if kind is None:
        raise StoreError(f"{where}: jobs of a kind that this version does not know: {content['kind']}")
    try:
        jobs: list[Job] = TypeAdapter(list[kind]).validate_python(content["jobs"][first:last])  # type: ignore[valid-type]
    except ValidationError as error:
        raise StoreError(f"{where}: not a list of jobs: {one_line(error)}") from error
    for job, key in zip(jobs, content["keys"][first:last], strict=True):
        if job.key != key:
            raise StageError(
                f"{where}: the job {job.label} has the key {job.key} here, and {key} where the run began; workers must"
                " have the same version of this package"
            )
    return jobs
