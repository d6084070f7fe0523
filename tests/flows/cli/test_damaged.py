"""A damaged record, manifest or file of counts ends every command with exit code 4 and one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.main import app
from metaclip.errors import StoreError
from metaclip.explore.pool import FinishedPool
from metaclip.pool.status import pool_status
from metaclip.report.planned import PlannedReport
from tests.conftest import config_tree
from tests.pools import make_pool

Edit = Callable[[Any], Any]


@pytest.fixture(scope="module")
def made(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("damaged") / "pool"
    make_pool(crawl, root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "pool")
    return tmp_path / "pool"


@pytest.fixture
def config(root: Path, crawl: Path, tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(config_tree(crawl, root, dedup__rows_per_partition=1200)))
    return path


def _commands(root: Path, config: Path) -> dict[str, list[str]]:
    there = ["--storage", str(root)]
    return {
        "run": ["run", str(config)],
        "rebalance": ["rebalance", "small", *there, "--t", "50"],
        "status": ["status", "small", *there],
        "status --full": ["status", "small", *there, "--full"],
        "plan": ["plan", "small", *there, "--t", "7"],
        "explain": ["explain", "small", "a photo of a dog", *there],
        "entry": ["entry", "small", "--id", "5", *there],
        "trace": ["trace", "small", _a_uid(root), *there],
        "files": ["files", "small", *there],
        "export": ["export", "small", *there, "--to", str(root.parent / "export")],
        "report": ["report", "small", *there],
        "gc": ["gc", *there],
    }


def _a_uid(root: Path) -> str:
    """Return the uid of a pair that is in the pool's set."""
    (path, *_) = sorted(root.glob("curate-v*/*/*.parquet"))
    return str(pq.read_table(path)["uid"][0].as_py())


def _set(*path: str | int, to: Any) -> Edit:
    """Return an edit that replaces what is at a place."""

    def edit(content: Any) -> Any:
        node = content
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = to
        return content

    return edit


def _drop(*path: str | int) -> Edit:
    def edit(content: Any) -> Any:
        node = content
        for part in path[:-1]:
            node = node[part]
        del node[path[-1]]
        return content

    return edit


RECORDS: dict[str, Edit] = {
    "empty object": lambda _: {},
    "list": lambda _: [1, 2],
    "null": lambda _: None,
    "number": lambda _: 3,
    "text": lambda _: "pool",
    "no stages": _drop("stages"),
    "stages that are a list": _set("stages", to=[]),
    "stages that are null": _set("stages", to=None),
    "an empty stage": _set("stages", "balance", to=[]),
    "a stage less": _drop("stages", "dedup"),
    "a list for an address": _set("stages", "count", to=["count-v2/0/manifest.json"]),
    "an address for a list": _set("stages", "balance", to="balance-v2/0/manifest.json"),
    "a number for an address": _set("stages", "count", to=5),
    "a number in a list": _set("stages", "match", 0, to=5),
    "null in a list": _set("stages", "extract", 0, to=None),
    "another stage": _set("stages", "count", to="match-v2/0/manifest.json"),
    "up and away": _set("stages", "count", to="../../../etc/manifest.json"),
    "up and away by a stage": _set("stages", "count", to="count-v2/../../manifest.json"),
    "an absolute address": _set("stages", "count", to="/etc/manifest.json"),
    "no manifest": _set("stages", "count", to="count-v2/0/entry_counts.parquet"),
    "sets that are a list": _set("stages", "curate", to=[]),
    "sets that are numbers": _set("stages", "curate", to={"20": 5}),
    "sets of no t": _set("stages", "curate", to={"abc": ["curate-v3/0/manifest.json"]}),
    "no sets": _set("stages", "curate", to={}),
    "a set without addresses": _set("stages", "curate", "20", to=[]),
    "another pool's": _set("pool", to="other"),
    "a pool that is a number": _set("pool", to=3),
}
"""What can be wrong with a record so that no command can use it."""

CONFIGURATIONS: dict[str, Edit] = {
    "no configuration": _drop("config"),
    "a configuration that is a list": _set("config", to=[1]),
    "a configuration without its parts": _set("config", to={"pool": "small"}),
    "a crawl that is a number": _set("config", "source", "crawl", to=3),
    "a t that is a text": _set("config", "balance", "t", to="many"),
    "a seed that is a list": _set("config", "balance", "seed", to=[1]),
}
"""The same for the configuration, which `gc` does not read; `run` only as far as `latest` needs it."""

RAW = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "no JSON": lambda _: b"not json",
    "no UTF-8": lambda _: b"\xff\xfe\x00{",
    "very deep": lambda _: b"[" * 100_000,
}


def _check(name: str, arguments: list[str], named: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 4, f"{name}: {result.exit_code} {result.output} {result.exception!r}"
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, f"{name}: {result.stderr}"
    assert "Traceback" not in result.output
    assert named in errors[0], f"{name}: {errors[0]}"
    assert result.stderr.rstrip().endswith(errors[0])


@pytest.mark.slow
@pytest.mark.parametrize("case", [*RECORDS, *RAW])
def test_a_damaged_record(root: Path, config: Path, case: str) -> None:
    path = root / "pools" / "small.json"
    if case in RAW:
        path.write_bytes(RAW[case](path.read_bytes()))
    else:
        path.write_text(json.dumps(RECORDS[case](json.loads(path.read_text()))))
    commands = _commands(root, config)
    if case in ("a stage less", "another pool's", "a pool that is a number", "no sets"):
        del commands["gc"]  # which needs no more than the outputs that are named
    before = path.read_bytes()
    for name, arguments in commands.items():
        _check(name, arguments, "small.json")
    assert path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_record_with_a_damaged_configuration(root: Path, config: Path, case: str) -> None:
    path = root / "pools" / "small.json"
    path.write_text(json.dumps(CONFIGURATIONS[case](json.loads(path.read_text()))))
    commands = _commands(root, config)
    for name in ("gc", "run"):
        del commands[name]
    for name, arguments in commands.items():
        _check(name, arguments, "small.json")


def test_a_record_that_is_a_folder(root: Path, config: Path) -> None:
    path = root / "pools" / "small.json"
    path.unlink()
    path.mkdir()
    for name, arguments in _commands(root, config).items():
        _check(name, arguments, "small.json")


@pytest.mark.parametrize("case", ["[]", "3", '{"crawls": 3}', '{"crawls": [3]}', "{", ""])
def test_damaged_crawls(root: Path, config: Path, crawl: Path, case: str) -> None:
    (root / "crawls").mkdir()
    (root / "crawls" / "small.json").write_text(case)
    config.write_text(yaml.safe_dump({**config_tree(crawl, root), "source": {"crawl": ["latest"], "kind": "wat"}}))
    _check("run", ["run", str(config)], "crawls/small.json")


FLIPPED = {
    "metadata/entries.parquet": ("entry", "explain"),
    "metadata/matcher.bin": ("explain",),
    "count/entry_counts.parquet": ("plan", "explain", "entry"),
    "balance/pairs.parquet": ("export",),
}


@pytest.mark.parametrize("file", FLIPPED)
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone", "zeros"])
def test_a_damaged_file_of_entries_or_counts(root: Path, config: Path, file: str, damage: str) -> None:
    stage, name = file.split("/")
    (path, *_) = root.glob(f"{stage}-v*/*/{name}")
    content = path.read_bytes()
    match damage:
        case "flipped":
            # every byte of the file is altered, so it does not matter which part a command reads
            path.write_bytes(bytes(byte ^ 1 for byte in content))
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
        case "zeros":
            path.write_bytes(bytes(len(content)))
    for command in FLIPPED[file]:
        _check(command, _commands(root, config)[command], name)
    assert pool_status(str(root), "small", "full")["missing"] == 1


MANIFESTS: dict[str, Edit] = {
    "no files": _set("files", to=[]),
    "rows below zero": _set("files", 0, "rows", to=-5),
    "bytes below zero": _set("files", 0, "bytes", to=-1),
    "too many rows": _set("files", 0, "rows", to=10**12),
    "rows that are a text": _set("files", 0, "rows", to="many"),
    "up and away": _set("files", 0, "name", to="../../../../../../etc/passwd"),
    "an absolute name": _set("files", 0, "name", to="/etc/passwd"),
    "a folder's name": _set("files", 0, "name", to=".."),
    "itself": _set("files", 0, "name", to="manifest.json"),
    "no name": _set("files", 0, "name", to=""),
    "a name with a zero": _set("files", 0, "name", to="a\0b"),
    "no hash": _set("files", 0, "sha256", to=""),
    "a file twice": lambda content: {**content, "files": content["files"] * 2},
    "other inputs": _set("inputs", to=["ffff"]),
    "another stage": _set("stage", to="count"),
    "another key": _set("key", to="0" * 32),
    "a list": lambda _: [1],
    "null": lambda _: None,
    "statistics that are a list": _set("statistics", to=[]),
}


@pytest.mark.long
@pytest.mark.parametrize("stage", ["match", "balance"])
@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_states_what_cannot_be(root: Path, config: Path, stage: str, case: str) -> None:
    (path, *_) = root.glob(f"{stage}-v*/*/manifest.json")
    path.write_text(json.dumps(MANIFESTS[case](json.loads(path.read_text()))))
    assert pool_status(str(root), "small", "full")["missing"] == 1
    full = CliRunner().invoke(app, _commands(root, config)["status --full"])
    assert full.exit_code == 4
    for name, arguments in _commands(root, config).items():
        if name not in ("run", "rebalance", "report"):
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code in (0, 4), f"{name}: {result.output}"
            assert result.exception is None or isinstance(result.exception, SystemExit), f"{name}: {result.exception!r}"


def test_a_manifest_of_another_output(root: Path) -> None:
    one, other, *_ = sorted(root.glob("match-v*/*/manifest.json"))
    shutil.copy(other, one)
    assert pool_status(str(root), "small")["missing"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("statistics", [{}, {"counts": {"matched": "x"}}, {"sizes": [1], "sketch": 3}])
@pytest.mark.parametrize("stage", ["match", "balance", "curate", "extract"])
def test_statistics_that_are_not_those_of_the_stage(
    root: Path, config: Path, stage: str, statistics: dict[str, Any]
) -> None:
    for path in root.glob(f"{stage}-v*/*/*manifest.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "statistics": statistics}))
    for name, arguments in _commands(root, config).items():
        if name not in ("run", "rebalance", "report"):
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code in (0, 4), f"{name}: {result.output} {result.exception!r}"
            assert result.exception is None or isinstance(result.exception, SystemExit), f"{name}: {result.exception!r}"


@pytest.mark.parametrize("stage", ["match", "curate", "extract", "survey"])
def test_a_report_of_statistics_that_are_missing(root: Path, stage: str) -> None:
    for path in root.glob(f"{stage}-v*/*/*manifest.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "statistics": {}}))
    pool = FinishedPool.open(str(root), "small")
    with pytest.raises(StoreError, match=f"{stage}-v.*its manifest states no"):
        PlannedReport.of_pool(pool, None).report.run(pool.store)
