"""How far this project is from what cannot be beaten: `python -m bench.limits`.

A table of ratios, each with the figure that it is to reach: extraction and matching against decompression, later
stages against these, a shard of its own against its part of a large one, two processes against one, another t
against reading and writing its rows, a large pool beside DuckDB and polars, reading from S3 beside s5cmd, Wikipedia,
and the memory of a worker. Each is measured by another script of this folder, in turns with its yardstick in one run;
`python -m bench` takes those that it has measured already. What is left out, for want of a program, is said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench import large_pool, metadata, pipeline, rebalance, s3_reading, worker_memory
from bench.crawl_files import KINDS
from bench.timing import report, spread, table

Found = Mapping[str, Any]
"""The results of other scripts, by name."""
TURNS = 5
WIKIPEDIA = "wikipedia"


@dataclass(frozen=True)
class Limit:
    """A figure, and what it is to reach."""

    what: str
    script: str
    target: float
    figure: Callable[[Any], Mapping[str, float] | None]
    """Takes median, lowest and highest out of the script's result; None if they were not measured."""
    more_is_better: bool = False

    def row(self, found: Found) -> dict[str, Any]:
        """Return the row of the table."""
        now = self.figure(found[self.script])
        target = f"at {'least' if self.more_is_better else 'most'} {self.target:g}"
        if now is None:
            return {"what": self.what, "now": None, "target": target, "reached": None}
        reached = now["median"] >= self.target if self.more_is_better else now["median"] <= self.target
        return {"what": self.what, "now": dict(now), "target": target, "reached": reached}


def _ratio(kind: str, name: str) -> Callable[[Any], Mapping[str, float]]:
    return lambda found: found[kind]["ratios"][name]


def _ahead_of(program: str) -> Callable[[Any], Mapping[str, float] | None]:
    return lambda found: found["programs"].get(large_pool.OTHERS[program], {}).get("slower_by")


def _memory_beside(program: str) -> Callable[[Any], Mapping[str, float] | None]:
    def figure(found: Any) -> Mapping[str, float] | None:
        other = found["programs"].get(large_pool.OTHERS[program])
        return other and _same(round(found["programs"][large_pool.ALL]["resident_mb"] / other["resident_mb"], 3))

    return figure


def _beside(reader: str) -> Callable[[Any], Mapping[str, float] | None]:
    return lambda found: found["readers"].get(reader, {}).get("ours_to_this")


def _same(figure: float) -> dict[str, float]:
    return {"median": figure, "low": figure, "high": figure}


def _of_crawl(found: Any) -> Mapping[str, float]:
    return spread([found["workers"][f"all {kind} files"]["resident_mb"] for kind in KINDS], 0)


LIMITS = (
    Limit("WAT, extract and match, one shard / libdeflate", "pipeline", 2.2, _ratio("wat", pipeline.ONE_SHARD)),
    Limit("WARC, the same", "pipeline", 1.9, _ratio("warc", pipeline.ONE_SHARD)),
    Limit("WAT, all stages / extract and match", "pipeline", 1.15, _ratio("wat", pipeline.ALL_STAGES)),
    Limit("WAT, shards of their own / one shard", "pipeline", 1.08, _ratio("wat", pipeline.OWN_SHARD)),
    Limit("WARC, the same", "pipeline", 1.08, _ratio("warc", pipeline.OWN_SHARD)),
    Limit("WAT, 2 processes / 1, beside decompression", "pipeline", 0.98, _ratio("wat", pipeline.TWO_PROCESSES), True),
    Limit("WARC, the same", "pipeline", 0.98, _ratio("warc", pipeline.TWO_PROCESSES), True),
    Limit("another t / reading and writing its rows", "rebalance", 0.6, lambda found: found["ratio_of_all"]),
    Limit("dedup and count, pairs/CPU s / DuckDB", "large_pool", 1, _ahead_of("duckdb"), True),
    Limit("the same / polars, streaming", "large_pool", 1, _ahead_of("polars"), True),
    Limit("dedup, count and balance, memory / DuckDB", "large_pool", 1, _memory_beside("duckdb")),
    Limit("the same / polars, streaming", "large_pool", 1, _memory_beside("polars")),
    Limit("S3, MB/s / s5cmd cat, one request", "s3_reading", 0.9, _beside(s3_reading.ONE_BY_ONE), True),
    Limit("S3, MB/s / ranged GETs", "s3_reading", 0.9, _beside(s3_reading.RANGED), True),
    Limit("Wikipedia, MB of XML a CPU second", WIKIPEDIA, 25, lambda found: found["all_xml_mb_per_second"], True),
    Limit("memory of a worker, crawl files, resident MB", "worker_memory", 350, _of_crawl),
    Limit("the same, any file", "worker_memory", 350, lambda found: _same(found["highest"]["resident_mb"])),
)


def measure(found: Found | None = None) -> dict[str, Any]:
    """Measure what is not among what was found already."""
    results = dict(found or {})
    scripts: dict[str, Callable[[], Any]] = {
        "pipeline": pipeline.measure,
        "rebalance": rebalance.measure,
        "large_pool": large_pool.measure,
        "s3_reading": s3_reading.measure,
        "worker_memory": worker_memory.measure,
        WIKIPEDIA: wikipedia,
    }
    shown = {
        "large_pool": large_pool.show,
        "s3_reading": s3_reading.show,
        "worker_memory": worker_memory.show,
    }
    own = {}
    for name, script in scripts.items():
        if name not in results:
            own[name] = results[name] = script()
    return {
        "rows": [limit.row(results) for limit in LIMITS],
        "tables": [shown[name](one) for name, one in own.items() if name in shown],
        **own,
    }


def wikipedia() -> dict[str, Any]:
    """Return MB of XML a CPU second for each step of counting a dump, and for all of them."""
    dump, real = metadata.real_or_made_up()
    turns = [metadata.steps(dump) for _ in range(TURNS)]
    rates = {name: spread([turn[name] for turn in turns], 2) for name in turns[0] if name.endswith("_per_second")}
    return {"data": "shared" if real else "made up (the shared data is not here)", **rates}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = []
    for one in result["rows"]:
        now = one["now"]
        cells = [f"{now[key]:g}" for key in ("median", "low", "high")] if now else ["not measured", "", ""]
        rows.append([one["what"], *cells, one["target"], {True: "yes", False: "no", None: ""}[one["reached"]]])
    tables = "\n".join(result["tables"])
    return f"{tables}\n" + table("limits", ("", "median", "lowest", "highest", "target", "reached"), rows)


if __name__ == "__main__":
    report(measure, show)
