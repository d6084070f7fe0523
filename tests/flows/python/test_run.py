"""`metaclip.run` and `metaclip.open`: the notebook of the docs, and answers of a pool."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import metaclip
from metaclip.errors import ConfigError, StoreError
from metaclip.opened.shown import Rows, Told, table_html
from tests.examples import ROOT
from tests.pools import make_pool

NOTEBOOK = ROOT / "docs/notebook.ipynb"


def _program() -> str:
    """The cells of the notebook as a program in a running event loop, as Jupyter has one; each value is shown."""
    cells = [
        "".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"
    ]
    lines = ["import asyncio", "shown = []", "def show(value):", "    shown.append(value)", "async def main():"]
    for cell in cells:
        tree = ast.parse(cell)
        if isinstance(tree.body[-1], ast.Expr):
            tree.body[-1].value = ast.Call(ast.Name("show", ast.Load()), [tree.body[-1].value], [])
        lines += ["    " + line for line in ast.unparse(tree).splitlines()]
    lines += ["    globals().update(pool=pool, difference=difference, in_the_set=in_the_set, kept=kept)"]
    return "\n".join(lines)


@pytest.mark.long
def test_the_notebook_runs_in_an_event_loop_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    checks = """
if __name__ == "__main__":
    asyncio.run(main())
    html = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert len(html) == 5, len(html)
    assert len(pool) == 241, len(pool)
    assert sum(in_the_set) == len(kept) == difference["a"]["pairs"], (sum(in_the_set), len(kept))
    assert difference["only_b"] == 0 and difference["only_a"] > 0
    missed = {row["entry"]: row for row in pool.near()}
    assert (missed["bald eagle"]["case"], missed["bald eagle"]["punctuation"]) == (1, 1)
    assert missed["snowy owl"]["plural"] == 1
    print("done", len(shown))
"""
    program = tmp_path / "notebook.py"
    program.write_text(_program() + checks)
    done = subprocess.run([sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done ")


@pytest.fixture(scope="module")
def pool(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> metaclip.Pool:
    config = make_pool(crawl, tmp_path_factory.mktemp("opened") / "pool")
    return metaclip.open(config.storage, "small")


@pytest.mark.parametrize("t", [None, 3.5, float("inf")])
def test_pairs_are_those_up_to_t(pool: metaclip.Pool, t: float | None) -> None:
    finished = pool._finished
    parts = [finished.store.path(f"{part.folder}/pairs.parquet") for part in finished.all("balance")]
    whole = pq.read_table(parts)
    expected = whole.filter(pa.compute.less_equal(whole["min_t"], 20 if t is None else t))
    found = pool.pairs(t)
    assert found.count_rows() == expected.num_rows
    keys = [(name, "ascending") for name in ("uid_hi", "uid_lo")]
    assert found.to_table().sort_by(keys).equals(expected.sort_by(keys))


@pytest.mark.long
def test_pairs_of_a_pool_in_s3(crawl: Path, bucket: str) -> None:
    config = make_pool(crawl, Path("pool"), storage=bucket + "/pool")
    found = metaclip.open(config.storage, "small")
    assert found.pairs(float("inf")).count_rows() == len(found) > 0
    assert found.pairs(5).head(3).num_rows == 3


@pytest.mark.slow
def test_a_part_that_is_not_whole_is_told(crawl: Path, tmp_path: Path) -> None:
    config = make_pool(crawl, tmp_path / "pool")
    opened = metaclip.open(tmp_path / "pool", "small")
    path = Path(opened._finished.store.path(f"{opened._finished.all('balance')[0].folder}/pairs.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match="is not whole"):
        metaclip.open(config.storage, "small").pairs()


def test_answers_are_those_of_the_commands(pool: metaclip.Pool) -> None:
    assert pool.entries.column_names == ["entry_id", "entry", "source", "count"]
    assert pool.entries["count"].to_numpy().sum() == pool._finished.counts.sum()
    (size,) = pool.plan([5])
    assert size["pairs"] == pool.pairs(5).count_rows()
    uid = pool.sample(n=1)[0]["uid"]
    assert pool.trace(uid)["ended"] == "curate"
    assert pool.entry("photo")["count"] == pool.explain("photo")["entries"][0]["count"]
    assert pool.sample("no_match", 3).to_arrow().num_rows == 3
    assert pool.t == 20
    assert f"{len(pool):,} pairs" in repr(pool)
    with pytest.raises(ConfigError, match="no finished pool"):
        metaclip.open(pool.storage, "other")


def test_html_holds_text_from_the_web_as_text() -> None:
    bad = "<script>alert(1)</script>"
    for html in (
        Rows([{"text": bad, bad: [bad, 1]}], bad)._repr_html_(),
        Told({"a": bad, "rows": [{"b": bad}]})._repr_html_(),
        table_html("", [{"n": {bad: bad}}]),
    ):
        assert "<script>" not in html
        assert "&lt;script&gt;" in html
    assert "and 1 more" in Rows({"n": n} for n in range(201))._repr_html_()


def test_a_server_that_is_away_for_minutes_ends_no_run_from_python_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, str | None] = {}

    def look() -> None:
        asked.update({name: os.environ.get(f"PREFECT_CLIENT_{name}") for name in ("MAX_RETRIES", "RETRY_EXTRA_CODES")})
        raise InterruptedError

    for name in ("PREFECT_CLIENT_MAX_RETRIES", "PREFECT_CLIENT_RETRY_EXTRA_CODES"):
        monkeypatch.setenv(name, "")  # and unset again, at the end too
        monkeypatch.delenv(name)
    monkeypatch.setattr("flows.python.run.server_ahead", look)
    (tmp_path / "entries.txt").write_text("dog")
    (tmp_path / "pairs.csv").write_text("url,text\nhttps://a.example/a.jpg,a dog\n")
    tree = {
        "pool": "p",
        "storage": str(tmp_path),
        "source": {"kind": "pairs", "paths": [str(tmp_path / "pairs.csv")]},
        "metadata": {"entries": str(tmp_path / "entries.txt")},
    }
    with pytest.raises(InterruptedError):
        metaclip.run(tree)
    assert asked == {"MAX_RETRIES": "8", "RETRY_EXTRA_CODES": "500"}


def test_a_wrong_configuration_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        metaclip.run({"pool": "x", "storage": str(tmp_path)})


@pytest.mark.parametrize("make", [list, np.array, pa.array, lambda values: pa.chunked_array([values[:9], values[9:]])])
@pytest.mark.parametrize("rows", [20, 5000])
def test_uids_of_any_column(make: Any, rows: int) -> None:
    urls, texts = [f"https://a.example/é{n}" for n in range(rows)], [f"text {n}" for n in range(rows)]
    expected = metaclip.uids(urls[:20], texts[:20])
    for half, wanted in zip(metaclip.uids(make(urls), make(texts)), expected, strict=True):
        assert half[:20].tolist() == wanted.tolist()
        assert len(half) == rows


def test_uids_of_raw_columns_are_those_of_a_pool() -> None:
    clean = metaclip.uids(["https://a.example/x%20y.jpg"], ["a  dog\n"], clean=True)
    assert [half.tolist() for half in clean] == [
        half.tolist() for half in metaclip.uids(["https://a.example/x%20y.jpg"], ["a dog"])
    ]
    with pytest.raises(ValueError, match="1 addresses and 0 texts"):
        metaclip.uids(["a"], [])
    with pytest.raises(ValueError, match="missing"):
        metaclip.uids(pa.array(["a", None]), pa.array(["b", "c"]))
