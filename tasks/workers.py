"""The worker processes that compute for the tasks of a flow run.

Prefect's task runner uses threads: the thread of a task waits here while a process works. Processes stay
for the whole run, so that each loads the matcher and the language model once. They import `metaclip` only.
"""

import logging
import multiprocessing
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from metaclip.config.settings import Config, Source
from metaclip.errors import TaskLimitError, WorkerLostError
from metaclip.io.addresses.credentials import known_in, learn
from metaclip.io.client import DOWNLOADS, Client, downloading
from metaclip.io.temporary import own_folder
from metaclip.kernels.clock import COMPILING
from metaclip.kernels.ways import POOL_GROUPS, Kernels
from metaclip.processes.meter import METER, NOTHING, Cost
from metaclip.processes.starting import spawning
from metaclip.store.job import Job, run_job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.bounds import Bounds, bounded
from tasks.compiling import Compiling
from tasks.worker_process import begin, import_jobs

logger = logging.getLogger(__name__)

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Downloads:
    """How the processes of a run download: the number of parallel downloads over all of them, and the contact."""

    at_once: int = DOWNLOADS
    contact: str | None = None
    allow_private: bool = False

    @classmethod
    def of(cls, source: Source) -> "Downloads":
        """Return the downloads of a source's settings."""
        return cls(source.max_downloads, source.contact, source.allow_private)

    def client(self) -> Client:
        """Return a client whose slots are shared with new processes."""
        with spawning():  # the first semaphore starts the process that tidies up after all of them
            return Client(_SPAWN.BoundedSemaphore(self.at_once), self.contact, allow_private=self.allow_private)


class Computed(NamedTuple):
    """An output that was computed, and what it took."""

    reference: Reference
    seconds: float
    compiling: float
    """Seconds beside these in which kernels were compiled, or loaded from disk."""
    cost: Cost
    """What its worker process took; nothing for one that this process computed itself, which counts by itself."""


class Workers:
    """A pool of processes that is replaced when one of them is lost."""

    def __init__(self, processes: int, downloads: Downloads) -> None:
        self.processes = processes
        self.downloads = downloads
        self.client = downloads.client()
        self.say: Callable[[int, int], object] = lambda _compiled, _of: None
        """Called while kernels are compiled beside the work: see `Compiling`."""
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._processes: list[BaseProcess] = []
        self._compiling: Compiling | None = None

    def run(self, root: str, job: Job, bounds: Bounds, kernels: Kernels = "auto") -> Computed:
        """Compute a job in a process.

        Raises:
            TaskLimitError: if the job exceeded its bounds.
            WorkerLostError: if the process died; the next job gets a new pool.
            MetaclipError: the error that the job raised.
        """
        if not Store(root).is_shared_between_processes:
            return _computed(root, job, kernels)._replace(cost=NOTHING)
        if kernels == "auto":
            self._compile_beside(job.work().groups)
        note = own_folder("limits") / uuid4().hex
        try:
            return self._started().submit(_bounded, root, job, kernels, bounds, note, known_in(job)).result()
        except BrokenProcessPool as error:
            self._replace_if_broken()
            if note.exists():
                raise TaskLimitError(note.read_text()) from error
            raise WorkerLostError(
                f"{job.STAGE} {job.label}: a worker process died (killed, or out of memory). If it happens again, set"
                " fewer execution.processes, or smaller source.files_per_shard or dedup.rows_per_partition"
            ) from error
        finally:
            note.unlink(missing_ok=True)

    def start(self) -> None:
        """Start the processes, which are then ready sooner for the first job; that one meets what died meanwhile."""
        with suppress(BrokenProcessPool):
            self._started()

    def _started(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                given = (self.client.slots, self.client.contact, self.client.allow_private)
                self._pool = ProcessPoolExecutor(self.processes, _SPAWN, initializer=begin, initargs=given)
                with _hidden_main(), spawning():
                    others = multiprocessing.active_children()
                    # Processes start as jobs come in; start them all while the main module is hidden.
                    try:
                        for _ in range(self.processes):
                            self._pool.submit(import_jobs)
                    except (OSError, ValueError) as error:
                        # One that died at once has its pipes closed, which the next was just to inherit.
                        raise BrokenProcessPool(f"a process did not start: {error}") from error
                    finally:
                        self._processes = [one for one in multiprocessing.active_children() if one not in others]
            return self._pool

    def _compile_beside(self, groups: Sequence[str]) -> None:
        """Start to compile what this run may need, at the first job that needs kernels; theirs come first."""
        with self._lock:
            if groups and self._compiling is None:
                self._compiling = Compiling(list(dict.fromkeys([*groups, *POOL_GROUPS])), self.say)

    def _replace_if_broken(self) -> None:
        """Forget the pool, unless another task has done so and a new one works by now."""
        with self._lock:
            pool = self._pool
            if pool is None or not _is_broken(pool):
                return
            self._pool = None
            self.client = self.downloads.client()  # a lost process may have kept slots
            self._end_broken()
        pool.shutdown()

    def _end_broken(self) -> None:
        """End what a broken pool has left: Python 3.11 waits forever for a process that began as another died."""
        for process in self._processes:
            process.kill()

    def close(self) -> None:
        """End the processes."""
        if self._compiling is not None:
            self._compiling.end()
        with self._lock:
            pool, self._pool = self._pool, None
            if pool is not None and _is_broken(pool):
                self._end_broken()
        if pool is not None:
            # Waits: processes that still start open semaphores of this one, and a pool that ends beside it writes
            # to pipes that are closed meanwhile (Python 3.11); both would be told at length.
            pool.shutdown(cancel_futures=True)


def _is_broken(pool: ProcessPoolExecutor) -> bool:
    """Return whether a pool of processes takes no more jobs because one of its processes died."""
    try:
        pool.submit(int)
    except BrokenProcessPool:
        return True
    return False


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Prevent a new process from importing the main module, which would import Prefect."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _computed(root: str, job: Job, kernels: Kernels) -> Computed:
    started, compiled, before = time.monotonic(), COMPILING.seconds, METER.look()
    reference = run_job(root, job, kernels)
    compiling = COMPILING.seconds - compiled
    seconds = time.monotonic() - started - compiling
    return Computed(reference, seconds, compiling, METER.look().minus(before))


def _bounded(
    root: str, job: Job, kernels: Kernels, bounds: Bounds, note: Path, credentials: dict[str, str]
) -> Computed:
    learn(credentials)
    with bounded(bounds, f"{job.STAGE} {job.label}", note):
        return _computed(root, job, kernels)


_Shape = tuple[int, Downloads]

_pools: dict[_Shape, Workers] = {}
_users: Counter[_Shape] = Counter()
_guard = threading.Lock()


@contextmanager
def workers(processes: int, downloads: Downloads = Downloads(), ahead: bool = False) -> Iterator[None]:
    """Provide worker processes while a flow runs; a child flow with the same settings shares them.

    Meanwhile this process uses the same slots for its downloads. The processes start with the first job, or at
    once where `ahead`.
    """
    shape = (processes, downloads)
    with _guard:
        if shape not in _pools:
            _pools[shape] = Workers(processes, downloads)
        _users[shape] += 1
        pool = _pools[shape]
    try:
        if ahead:
            pool.start()
        with downloading(pool.client):
            yield
    finally:
        with _guard:
            _users[shape] -= 1
            ended = _pools.pop(shape) if not _users[shape] else None
        if ended is not None:
            ended.close()


def workers_for(config: Config, ahead: bool = False) -> AbstractContextManager[None]:
    """Provide the worker processes of a configuration; `ahead` starts them before there is a job."""
    return workers(config.execution.processes, Downloads.of(config.source), ahead)


def compiling_is_told(config: Config, say: Callable[[int, int], object]) -> None:
    """Have the running flow's workers tell how far the compiling of kernels is."""
    pool = _pools.get((config.execution.processes, Downloads.of(config.source)))
    if pool is not None:
        pool.say = say


def run_in_worker(config: Config, job: Job) -> Computed:
    """Compute a job in one of the running flow's worker processes."""
    pool = _pools.get((config.execution.processes, Downloads.of(config.source)))
    if pool is None:
        raise RuntimeError("no workers: run tasks inside `with workers_for(config)`")
    return pool.run(config.storage, job, Bounds.of(config.execution), config.execution.kernels)
