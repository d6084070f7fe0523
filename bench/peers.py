"""Other programs on the same crawl files, in turns in one run: `python -m bench.peers`.

What each does and does not do is a part of the table. Figures are CPU seconds of one core for each MB of gzipped input,
medians with the lowest and highest, without the start of the programs. This project's are of one shard of all files:
everything from the files to Parquet with its manifest, extraction alone and with matching. MetaCLIP's way
(`bench.plain_pipeline`) runs here; warcio, FastWARC and Resiliparse too, unless `BENCH_PEERS_PYTHON` names a Python
that has them and datatrove (`pip install 'datatrove[io]' selectolax fastwarc resiliparse`), which is left out without
it; cc2dataset runs in the Python that `BENCH_CC2DATASET_PYTHON` names, if any.
"""

import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.crawl_files import KINDS, crawl_files
from bench.plain_pipeline import PlainPipeline
from bench.stages import configure, entry_list, make_metadata, run_shard
from bench.timing import report, spread, table, timed
from bench.yardsticks import CC2DATASET, PEERS, run_program
from metaclip.language.model_file import find_model
from metaclip.metadata.given_list import load_entries
from metaclip.prepare.jobs import extract_job
from metaclip.sources.listing import list_shards
from metaclip.store.store import Store

REPEATS = 5
FEATURES = ("encodings", "charset", "texts", "address", "language", "unique", "matched", "output")
LEGEND = {
    "encodings": "transfer and content encodings are undone",
    "charset": "bytes become text by the page's character set",
    "texts": "which texts of an image are taken",
    "address": "whether relative addresses are resolved, and against what",
    "language": "the language of each text is identified",
    "unique": "repeats of (address, text) are dropped",
    "matched": "texts are matched with half a million entries",
    "output": "what is written",
}
"""What the columns of the second table mean."""
OURS, MATCHED, PLAIN = "this project, extract", "this project, extract and match", "MetaCLIP's way in plain Python"
_ALL = "alt, title, data-*"
DOES = {
    "wat": {
        OURS: ("-", "JSON", _ALL, "base, page", "yes", "yes", "no", "checkpoint"),
        MATCHED: ("-", "JSON", _ALL, "base, page", "yes", "yes", "yes", "checkpoint"),
        PLAIN: ("-", "JSON", _ALL, "page", "no", "yes", "yes", "lines of JSON"),
        "cc2dataset": ("-", "JSON", "alt", "base, page", "no", "no", "no", "no"),
        "warcio and json": ("-", "JSON", "alt", "no", "no", "no", "no", "no"),
        "FastWARC and json": ("-", "JSON", "alt", "no", "no", "no", "no", "no"),
    },
    "warc": {
        OURS: ("yes", "yes", _ALL, "base, page", "yes", "yes", "no", "checkpoint"),
        MATCHED: ("yes", "yes", _ALL, "base, page", "yes", "yes", "yes", "checkpoint"),
        PLAIN: ("yes", "UTF-8", _ALL, "page", "yes", "yes", "yes", "lines of JSON"),
        "datatrove's reader and selectolax": ("yes", "guessed", "alt", "no", "no", "no", "no", "no"),
        "warcio and selectolax": ("yes", "UTF-8", "alt", "no", "no", "no", "no", "no"),
        "FastWARC and Resiliparse": ("yes", "header, guessed", "alt", "no", "no", "no", "no", "no"),
    },
}
"""What each program does, in the order of FEATURES."""
OTHERS = {
    "cc2dataset": "cc2dataset",
    "warcio and json": "warcio-wat",
    "FastWARC and json": "fastwarc-wat",
    "datatrove's reader and selectolax": "datatrove-warc",
    "warcio and selectolax": "warcio-warc",
    "FastWARC and Resiliparse": "resiliparse-warc",
}
"""The names of `bench.peer_programs`."""


def measure(repeats: int = REPEATS, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    os.environ["FTLANG_CACHE"] = str(find_model().parent)  # where the plain pipeline finds the model
    plain = PlainPipeline(load_entries(str(entry_list())).entries)
    with tempfile.TemporaryDirectory(prefix="metaclip-") as name:
        folder = Path(name)
        files = crawl_files(folder, tuple(kinds))
        return {
            "entries": entry_list().name,
            **{kind: _measure_kind(kind, files[kind], folder / kind, plain, repeats) for kind in kinds},
        }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    text = ""
    for kind in (kind for kind in KINDS if kind in result):
        found = result[kind]["programs"]
        rows = [
            [what, *one["cpu_seconds_per_mb"].values(), one["slower_by"]["median"], f"{one['pairs']:,}"]
            for what, one in found.items()
        ]
        columns = ("", "median", "lowest", "highest", f"{OURS}: faster by", "pairs")
        text += table(f"{kind}: CPU seconds for a gzipped MB", columns, rows)
        text += table("what each does", ("", *FEATURES), [[what, *DOES[kind][what]] for what in found]) + "\n"
    return text + "".join(f"{name}: {meaning}\n" for name, meaning in LEGEND.items())


def _measure_kind(kind: str, files: list[Path], folder: Path, plain: PlainPipeline, repeats: int) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    config = configure(files, folder / "pool")
    metadata = make_metadata(config)
    whole = extract_job(config, tuple(itertools.chain(*list_shards(config.source))))
    store = Store(config.storage)
    pairs: dict[str, int] = {}

    def here(what: str, work: Callable[[], int]) -> Callable[[], float]:
        def run() -> float:
            return timed(lambda: pairs.update({what: work()})).cpu

        return run

    def there(what: str, python: str) -> Callable[[], float]:
        def run() -> float:
            found = run_program(python, OTHERS[what], files)
            pairs[what] = found["pairs"]
            return float(found["cpu_seconds"])

        return run

    runs = {
        OURS: here(OURS, lambda: whole.run(store).rows),
        MATCHED: here(MATCHED, lambda: run_shard(config.storage, files, None, metadata)),
        PLAIN: here(PLAIN, lambda: plain.run(files, kind, folder / "plain.jsonl")),
    }
    for what in DOES[kind]:
        python = _python_for(what)
        if python:
            runs[what] = there(what, python)
    turns = {what: list[float]() for what in runs}
    for turn in range(repeats + 1):
        for what, run in runs.items():
            taken = run()
            if turn:
                turns[what].append(taken)
    return {
        "gzipped_mb": round(megabytes, 3),
        "programs": {
            what: {
                "cpu_seconds_per_mb": spread([one / megabytes for one in taken]),
                "slower_by": spread([other / own for own, other in zip(turns[OURS], taken, strict=True)], 2),
                "pairs": pairs[what],
            }
            for what, taken in turns.items()
        },
    }


def _python_for(what: str) -> str | None:
    """Return the Python that has a program, if there is one."""
    if what not in OTHERS:
        return None
    if what == "cc2dataset":
        return os.environ.get(CC2DATASET)
    here = sys.executable if "datatrove" not in what else None
    return os.environ.get(PEERS) or here


if __name__ == "__main__":
    report(measure, show)
