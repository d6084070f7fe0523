"""`source.keep_columns` from files of every kind through all stages to every output."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.explore.pool import FinishedPool
from metaclip.export.formats import Written, write_jsonl, write_metaclip
from metaclip.export.selection import Selection
from metaclip.prepare.jobs import check, extract_job
from metaclip.schemas import CURATED, PAIRS
from metaclip.store.delivery import Target
from metaclip.store.store import Store
from tests.conftest import config_tree
from tests.pools import make_pool

KEEP = ["similarity", "WIDTH"]
ROWS = 300


def _values(row: int) -> dict[str, Any]:
    return {"similarity": (row % 100) / 128 if row % 7 else None, "WIDTH": row + 1}


def _text(row: int) -> str:
    return f"a photo of a dog, number {row}"


def _write(folder: Path) -> list[str]:
    """Write rows as Parquet with floats, JSON Lines and a tar; every row once, and some in several files."""
    rows = [{"url": f"https://a.example/{row}.jpg", "text": _text(row), **_values(row)} for row in range(ROWS)]
    similarity = pa.array([row["similarity"] for row in rows[:120]], pa.float32())
    table = pa.table(
        {**{name: [row[name] for row in rows[:120]] for name in ("url", "text", "WIDTH")}, "similarity": similarity}
    )
    pq.write_table(table, folder / "a.parquet")
    (folder / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[100:220]))
    with tarfile.open(folder / "c.tar", "w") as archive:
        for row in rows[200:]:
            data = json.dumps(row).encode()
            member = tarfile.TarInfo(f"{row['WIDTH']:06}.json")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return [str(folder / name) for name in ("a.parquet", "b.jsonl", "c.tar")]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedPool, Config]:
    folder = tmp_path_factory.mktemp("kept")
    source = {"paths": _write(folder), "keep_columns": KEEP}
    config = make_pool(folder, folder / "pool", 120, source=source, match={"languages": []})
    return FinishedPool.open(config.storage, "small"), config


def _number(text: str) -> int:
    return int(text.rpartition(" ")[2])


def test_every_output_has_the_columns_with_their_values(pool: tuple[FinishedPool, Config], tmp_path: Path) -> None:
    finished, _ = pool
    curated = finished.set(None)
    files = sorted(Path(finished.store.path(curated.folder)).glob("*.parquet"))
    whole = pa.concat_tables([pq.read_table(file) for file in files])
    assert whole.schema.names == [*CURATED.names, *KEEP]
    assert (whole.schema.field("similarity").type, whole.schema.field("WIDTH").type) == (pa.float64(), pa.int64())
    assert 0 < whole.num_rows <= ROWS
    for row in whole.to_pylist():
        assert {name: row[name] for name in KEEP} == _values(_number(row["caption"]))
    balanced = pa.concat_tables([finished.store.open_parquet(part, PAIRS).read() for part in finished.all("balance")])
    assert sorted(_number(text) for text in balanced["text"].to_pylist()) == list(range(ROWS))
    assert balanced.schema.names[-2:] == KEEP
    for form in (write_jsonl, write_metaclip):
        lines = []
        out = tmp_path / form.__name__
        target = Target(str(out), "export.json", form.__name__)
        for number, part in enumerate(finished.all("balance")):
            selection = Selection(finished.store.open_parquet(part, PAIRS), np.inf, 0, "all")
            written: Written = form(target, number, selection, 1_000)
            for file in written.files:
                lines += [json.loads(line) for line in (out / file.name).read_text().splitlines()]
        assert len(lines) == ROWS
        for line in lines:
            text = line["caption"] if form is write_jsonl else line["texts"][0][1]
            expected = _values(_number(text))
            assert {name: line[name] for name in KEEP} == (
                expected if form is write_jsonl else {name: [value] for name, value in expected.items()}
            )


def test_the_report_names_the_columns(pool: tuple[FinishedPool, Config]) -> None:
    finished, _ = pool
    card = Path(finished.store.path(finished.one("report").folder), "README.md").read_text()
    assert "a column of the source's files, kept as it is there" in card.replace("\\", "")
    croissant = json.loads(Path(finished.store.path(finished.one("report").folder), "croissant.json").read_text())
    fields = {field["name"]: field["dataType"] for field in croissant["recordSet"][0]["field"]}
    assert (fields["similarity"], fields["WIDTH"]) == ("sc:Float", "sc:Integer")


@pytest.mark.slow
def test_the_copy_that_stays_does_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    for name, values in (("x", [3, None]), ("y", [1, 5])):
        table = pa.table(
            {"url": ["https://a.example/1.jpg"] * 2, "text": ["a dog"] * 2, "score": pa.array(values, pa.int64())}
        )
        pq.write_table(table, tmp_path / f"{name}.parquet")
    found = []
    for order in ("xy", "yx"):
        paths = [str(tmp_path / f"{name}.parquet") for name in order]
        config = make_pool(
            tmp_path,
            tmp_path / f"pool-{order}",
            source={"paths": paths, "keep_columns": ["score"]},
            match={"languages": []},
        )
        opened = FinishedPool.open(config.storage, "small")
        table = opened.store.open_parquet(opened.all("balance")[0], PAIRS).read()
        found.append(table["score"].to_pylist())
    assert found == [[1], [1]]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"keep_columns": ["punsafe"]}, "a.parquet: has no column 'punsafe'"),
        ({"keep_columns": ["url"]}, "'url' cannot be kept under this name"),
        ({"keep_columns": ["width"]}, "'width' cannot be kept"),
        ({"keep_columns": ["WIDTH", "WIDTH"]}, "named twice"),
    ],
)
def test_a_wrong_column_fails_before_any_work(tmp_path: Path, source: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as failed:
        check(parse_config(config_tree(tmp_path, tmp_path / "pool", source={"paths": _write(tmp_path), **source})))
    assert "\n" not in str(failed.value).strip() or "keep_columns" in str(failed.value)
    assert not list((tmp_path / "pool").glob("*-v*"))


def test_crawl_files_have_no_columns(crawl: Path, tmp_path: Path) -> None:
    tree = config_tree(crawl, tmp_path / "pool", source={"paths": [str(crawl / "demo.paths")], "keep_columns": ["x"]})
    with pytest.raises(ConfigError, match="which has no columns"):
        check(parse_config(tree))


def test_keys_are_as_before_where_no_column_is_kept(tmp_path: Path) -> None:
    paths = _write(tmp_path)
    without, with_ = (
        parse_config(config_tree(tmp_path, tmp_path / "pool", source={"paths": paths, "keep_columns": keep}))
        for keep in ([], ["WIDTH"])
    )
    jobs = [extract_job(config, tuple(check(without).shards[0])) for config in (without, with_)]
    assert "keep_columns" not in jobs[0].config()
    assert ["keep_columns" in config.model_dump()["source"] for config in (without, with_)] == [False, True]
    assert jobs[1].config() == {**jobs[0].config(), "keep_columns": ["WIDTH"]}
    store = Store(str(tmp_path / "pool"))
    jobs[0].run(store)
