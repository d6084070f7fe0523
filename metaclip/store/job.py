"""Jobs: what a stage computes. A job derives its key from its inputs and computes one output."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from metaclip.io.failures import explaining_disks
from metaclip.kernels.ways import WAYS, Kernels, Work
from metaclip.store.distrust import distrust
from metaclip.store.manifest import MANIFEST, Manifest, Reference, stage_key
from metaclip.store.store import Store, Verify
from metaclip.store.writer import OutputWriter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job(ABC):
    """Computes one output: of a shard, of a partition, or of the whole pool.

    A subclass is a frozen dataclass of plain values and references, so that it can be sent to a
    worker process. Its `VERSION` is raised when its output would change.
    """

    STAGE: ClassVar[str]
    VERSION: ClassVar[int]

    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        """Return the part of the configuration that the output depends on, as JSON values."""

    @abstractmethod
    def inputs(self) -> list[str]:
        """Return the keys of the outputs, or the fingerprints of the files, that this output is made from."""

    @abstractmethod
    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the data files and return the statistics."""

    def work(self) -> Work:
        """Return which kernels the job needs, and what it takes without them."""
        return Work()

    @property
    def label(self) -> str:
        """A short name for people, which differs from job to job within a stage."""
        return self.key[:8]

    @cached_property
    def key(self) -> str:
        """The output's key."""
        return stage_key(self.STAGE, self.VERSION, self.config(), self.inputs())

    @property
    def folder(self) -> str:
        """The output's folder, relative to the root."""
        return f"{self.STAGE}-v{self.VERSION}/{self.key}"

    @property
    def manifest(self) -> str:
        """The address of the output's manifest, relative to the root."""
        return f"{self.folder}/{MANIFEST}"

    def find(self, store: Store, verify: Verify = "size") -> Reference | None:
        """Return a reference to the output if it is complete, else None."""
        found = self.find_manifest(store, verify)
        return None if found is None else Reference(self.manifest, self.key, found.rows)

    def find_manifest(self, store: Store, verify: Verify, sizes: Mapping[str, int] | None = None) -> Manifest | None:
        """Return the manifest of the output if it is complete, else None; `sizes` as in `Store.examine`."""
        found, is_altered = store.examine(self.manifest, verify, sizes)
        if is_altered:
            distrust(store, self.key)
        if found is not None and (found.key != self.key or found.stage != self.STAGE):
            logger.warning("%s: the manifest is of another output; it is made again", store.address(self.manifest))
            return None
        return found

    def run(self, store: Store) -> Reference:
        """Compute the output and write it, even if it exists already."""
        with store.create(self.STAGE, self.VERSION, self.config(), self.inputs(), self.manifest) as output:
            return output.commit(self.compute(store.for_work(), output))


def run_job(root: str, job: Job, kernels: Kernels = "auto") -> Reference:
    """Compute a job with the store at `root`; this is what worker processes run."""
    with explaining_disks(), WAYS.chosen(job.work(), kernels):
        return job.run(Store(root))
