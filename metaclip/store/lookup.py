"""Which of many outputs stand: one look for all of them.

A single output takes a request for its manifest and one for each of its files. For many outputs in an object store,
listings of a thousand keys tell which manifests there are and how large the files, so that only the manifests are
read. What is believed of an output stays the same: its manifest, and its files as far as `verify` says.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

from metaclip.io.storage.files import side_by_side
from metaclip.store.job import Job
from metaclip.store.manifest import Manifest, Reference
from metaclip.store.store import Store, Verify

MANY = 64
"""For fewer outputs than this, listings are not worth their while."""

KEYS_AN_OUTPUT = 30
"""A listing that has so many keys for each wanted output is given up: most of the store belongs to others."""

AT_ONCE = 512
"""So many manifests are held at a time."""

_DIGITS = "0123456789abcdef"

_T = TypeVar("_T")


def find_many(
    store: Store, jobs: Sequence[Job], verify: Verify, take: Callable[[Manifest], _T]
) -> list[tuple[Reference, _T] | None]:
    """Look for the outputs of jobs of one stage.

    Args:
        store: where to look.
        jobs: whose outputs are looked for.
        verify: how the files are compared, as in `Store.find`.
        take: what is wanted of each manifest; the manifest itself is not kept.

    Returns:
        For each job its reference and what was taken, or None where the output is missing, incomplete or altered.
    """
    sizes = _sizes(store, jobs)

    def find(job: Job) -> tuple[Reference, _T] | None:
        found = job.find_manifest(store, verify, sizes)
        return None if found is None else (Reference(job.manifest, job.key, found.rows), take(found))

    return [each for some in _blocks(jobs) for each in _each(store, find, some)]


def _each(store: Store, find: Callable[[Job], _T], jobs: Sequence[Job]) -> list[_T]:
    # A local file opens faster than a thread takes over.
    return [find(job) for job in jobs] if store.is_local else side_by_side(find, jobs)


def _blocks(jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
    for start in range(0, len(jobs), AT_ONCE):
        yield jobs[start : start + AT_ONCE]


def _sizes(store: Store, jobs: Sequence[Job]) -> Mapping[str, int] | None:
    """Return the sizes of all files of a stage by path, or None where single requests are the shorter way."""
    if store.is_local or len(jobs) < MANY:
        return None
    folders = {str(PurePosixPath(job.folder).parent) for job in jobs}
    sizes: dict[str, int] = {}
    for folder in sorted(folders):
        found = store.sizes(folder, _DIGITS, KEYS_AN_OUTPUT * len(jobs))
        if found is None:
            return None
        sizes |= found
    return sizes
