"""Compile all kernels, by running each group's work on small inputs: `python -m metaclip.prepare.warm GROUP...`.

As a program it prints "COMPILED OF" whenever another kernel is compiled, for whoever started it.
"""

import bz2
import os
import sys
import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from metaclip.config.loading import parse_config
from metaclip.demo import ENTRIES, write_demo_crawl
from metaclip.io.temporary import temporary_folder
from metaclip.kernels.jit import KERNELS, plainly
from metaclip.kernels.ways import COMPILE_SECONDS, SCRATCH, WAYS
from metaclip.metadata.jobs import metadata_plan
from metaclip.metadata.ngrams_job import NgramsJob
from metaclip.metadata.titles_job import TitlesJob
from metaclip.prepare.jobs import extract_job
from metaclip.sources.listing import list_shards
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.match import MatchJob
from metaclip.stages.partition import PartitionJob
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

GROUPS = tuple(COMPILE_SECONDS)

Report = Callable[[int, int], object]
"""Called with the number of kernels that are compiled, and of all of them."""

_SECONDS = 0.5
_PAIRS = '{"url": "http://a.example/%d.jpg", "text": "a dog on the beach %d"}\n'
_DUMP = """<mediawiki><page><title>Dog</title><ns>0</ns><revision><text>A dog is a dog, and the dog barks.</text>
</revision></page></mediawiki>"""
_VIEWS = "en Dog 12 0\nen Cat 3 0\nde Hund 4 0\n"
_LOWER_BY = 10
"""The niceness of the program: what the machine is for comes first."""


def warm(groups: Iterable[str] = GROUPS, report: Report | None = None) -> None:
    """Compile the kernels of some groups, and mark these as compiled for all processes of this machine.

    Raises:
        KeyError: if there is no group of that name.
        OSError: if a temporary folder cannot be written.
        StoreError: if it belongs to another user.
    """
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(report, done), daemon=True)
    if report is not None:
        watch.start()
    try:
        with temporary_folder(SCRATCH) as folder:
            sample = _Sample(folder)
            for group in groups:
                jobs = sample.jobs(group)
                for job in jobs:
                    job.run(sample.store)
                WAYS.mark([group])
    finally:
        done.set()
        if report is not None:
            watch.join()


def _watch(report: Report, done: threading.Event) -> None:
    before = -1
    while True:
        last = done.wait(_SECONDS)
        compiled = sum(one.is_compiled for one in KERNELS)
        if compiled != before:
            report(compiled, len(KERNELS))
            before = compiled
        if last:
            return


class _Sample:
    """Small inputs, and the jobs on them; what a job needs of others is made plainly."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.store = Store(str(folder / "store"))
        self._crawl = write_demo_crawl(folder / "crawl")

    def jobs(self, group: str) -> list[Job]:
        """Return the jobs that call the kernels of a group."""
        make: dict[str, Callable[[], list[Job]]] = {
            "warc": lambda: self._extracts(self._crawl.warc_files),
            "wat": lambda: self._extracts(self._crawl.wat_files),
            "pairs": lambda: self._extracts([self._write("pairs.jsonl", self._pairs())]),
            "table": lambda: [metadata_plan(self._config([])).job],
            "match": lambda: [self._match],
            "tokens": self._tokens,
            "balance": self._balance,
            "words": self._words,
            "titles": lambda: [TitlesJob(str(self._write("views", _VIEWS)), "", ("en",), 1)],
        }
        return make[group]()

    def _config(self, paths: Iterable[Path], **match: str) -> Any:
        return parse_config(
            {
                "pool": "warm",
                "storage": self.store.root,
                "source": {"paths": [str(path) for path in paths] or [str(self._crawl.paths)]},
                "metadata": {"entries": str(ENTRIES)},
                "extract": {"max_bad_records": 1},
                "match": match,
            }
        )

    def _extracts(self, files: list[Path]) -> list[Job]:
        config = self._config(files)
        return [extract_job(config, tuple(shard)) for shard in list_shards(config.source)]

    @cached_property
    def _metadata(self) -> Reference:
        with plainly():
            return metadata_plan(self._config([])).job.run(self.store)

    @cached_property
    def _extracted(self) -> Reference:
        with plainly():
            return self._extracts(self._crawl.wat_files[:1])[0].run(self.store)

    @cached_property
    def _match(self) -> Job:
        return MatchJob(self._extracted, self._metadata, self._config([]).match)

    def _tokens(self) -> list[Job]:
        config = self._config([], boundaries="words")
        listed = metadata_plan(config).job
        return [listed, MatchJob(self._extracted, Reference(listed.manifest, listed.key, 0), config.match)]

    def _balance(self) -> list[Job]:
        with plainly():
            members = PartitionJob((self._match.run(self.store),), 1 << 20).run(self.store)
            unique = DedupJob(members, 0, 1).run(self.store)
            return [BalanceJob(unique, CountJob((unique,), self._metadata).run(self.store), 0)]

    def _words(self) -> list[Job]:
        path = self._folder / "dump.xml.bz2"
        path.write_bytes(bz2.compress(_DUMP.encode()))
        return [NgramsJob(str(path), "", "dump")]

    def _pairs(self) -> str:
        return "".join(_PAIRS % (number, number) for number in range(9))

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text)
        return path


def _main(groups: list[str]) -> None:
    if hasattr(os, "nice"):
        os.nice(_LOWER_BY)
    warm(groups or GROUPS, _print)


def _print(compiled: int, of: int) -> None:
    sys.stdout.write(f"{compiled} {of}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(sys.argv[1:])
