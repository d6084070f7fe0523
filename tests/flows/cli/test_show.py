"""What the command prints: safe on a terminal, whole at any width, and commands that can be pasted."""

import io
import json
import logging
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from flows.cli.main import app
from flows.cli.show.pool import show_plan
from flows.cli.show.status import show_status
from flows.cli.show.summary import show_summary
from flows.cli.show.tables import Cell, Column, figures, show_table
from flows.cli.show.terminal import to_json
from metaclip.processes.plain_text import log_visibly
from tests.examples import ROOT

RULES = re.compile("[─━┏┓┗┛└┘┡┩├┤]")
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\U000e0000-\U000e007f]"
)
EVIL = "\u202egod \x1b]0;owned\x07 \x9b31m[red]\u2066"

_cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def _shown(width: int, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], title: str = "") -> str:
    console = Console(file=io.StringIO(), width=width, soft_wrap=True)
    show_table(console, columns, rows, title)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _assert_fits(shown: str, width: int) -> None:
    ruled = [line for line in shown.split("\n") if RULES.search(line)]
    assert max(map(cell_len, ruled), default=0) <= width


@pytest.mark.slow
@given(st.lists(st.lists(_cells, min_size=3, max_size=3), max_size=4), st.integers(10, 120), _cells)
def test_a_table_fits_or_becomes_lines_and_shows_every_cell_whole(
    rows: list[list[str]], width: int, title: str
) -> None:
    shown = _shown(width, [Column("name"), *figures("count", "share")], rows, title)
    assert not UNSAFE.search(shown.replace("\n", ""))
    if "┏" in shown:
        _assert_fits(shown, width)
        lines = [line.split("│")[1:-1] for line in shown.split("\n") if line.startswith("│")]
    for row in rows:
        for cell in row:
            if "│" not in cell and cell.isprintable() and not cell.isspace():
                assert cell in shown
    if "┏" in shown and not any("│" in cell for row in rows for cell in row):
        assert len(lines) == len(rows)


def test_columns_that_can_be_spared_go_first_and_are_named() -> None:
    columns = [Column("name"), Column("rate", spare=1), Column("end\nat", spare=2)]
    rows = [["n" * 20, "r" * 10, "e" * 10]]
    assert "left out" not in _shown(60, columns, rows)
    narrower = _shown(40, columns, rows)
    assert "(--json has all): end at" in narrower
    assert "r" * 10 in narrower
    assert "(--json has all): end at, rate" in _shown(25, columns, rows)
    assert "left out" not in _shown(40, [Column("name"), Column("", spare=1)], [["n" * 20, "█" * 20]])
    assert _shown(20, columns, rows, "it") == f"it\nname: {'n' * 20}\nrate: {'r' * 10}\nend at: {'e' * 10}\n\n"


LONG = "a name of a pool that is longer than anyone would like it to be"

RUN = {
    "flow": "curate",
    "state": "running",
    "started": "2026-11-25 10:00:00",
    "updated": "2026-11-25 10:00:00",
    "host": f"{LONG}.example.org",
    "runs_on_workers": 12,
    "waits_for": "4f0c",
    "message": "",
    "note": "",
    "failures": [EVIL],
    "stages": [
        {
            "stage": "extract",
            "done": 12_345,
            "total": 90_000,
            "cached": 10_000,
            "failed": 12,
            "per_minute": 1234.5,
            "rows_per_second": 123_456.7,
            "projected_end": "2026-11-25T23:59:59+00:00",
            "outlook": "1,234.5 a minute, 1 h 3 min left, until about 2026-11-25 23:59 UTC",
        }
    ],
}


@pytest.mark.parametrize("width", [80, 40])
def test_tables_of_long_names_and_large_figures_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    large = 12_345_678_901
    show_status(
        {
            "pool": LONG,
            "storage": f"s3://{LONG}",
            "finished": True,
            "missing": [],
            "doubtful": ["report-v4/" + "a" * 32],
            "runs": [RUN],
            "stages": [
                {"stage": f"curate t={large}.5", "outputs": 9000, "missing": 0, "rows": large, "bytes": large**2}
            ],
            "sets": {"20": {"rows": large, "folder": f"s3://{LONG}"}},
        }
    )
    show_plan(
        {
            "pool": LONG,
            "pairs": large,
            "matches": large,
            "entries_with_matches": 1,
            "largest_count": 1,
            "seed": 0,
            "sizes": [
                {
                    "t": "26.98912345678901",
                    "pairs": large,
                    "share": 1.0,
                    "tail_pairs": large,
                    "expected": large / 3,
                    "head_entries": 500_000,
                    "tail_share": 0.5,
                    "capped_matches": large,
                    "asked": ["target pairs 3000", EVIL],
                    "set": LONG,
                }
            ],
        }
    )
    show_summary(
        {
            "pool": LONG,
            "t": "20",
            "seconds": 1.0,
            "storage": f"s3://{LONG}",
            "curated": LONG,
            "report_page": LONG,
            "stages": [{"stage": "extract", "tasks": 10_000, "cached": 10_000, "seconds": large, "megabytes": large}],
            "funnel": {"pages": large, "curated": large},
            "top_entries": [{"entry": LONG + EVIL, "count": large, "curated": large}],
            "entries": {"with_matches": large, "entries": large, "head": large},
        }
    )
    shown = capsys.readouterr().out
    _assert_fits(shown, width)
    assert not UNSAFE.search(shown.replace("\n", ""))
    assert f"{large:,}" in shown
    assert "\\u202egod" in shown
    if width == 40:
        assert f"entry: {LONG}" in shown
        assert f"rows: {large:,}" in shown
    # At every width, because this is what people look for.
    assert "extract: 1,234.5 a minute, 1 h 3 min left, until about 2026-11-25 23:59 UTC" in shown
    assert "It waits for run 4f0c of the same pool." in shown


@pytest.mark.long
def test_json_escapes_what_a_terminal_obeys_and_reads_back_the_same() -> None:
    every = "".join(map(chr, range(0x110000)))
    for indent in (None, 1):
        written = to_json({"all": every, every[:300]: ["é 日本 🧑‍🚀"]}, indent)
        assert not UNSAFE.search(written)
        assert "é 日本 🧑‍🚀" in written
        assert json.loads(written)["all"] == json.loads(json.dumps(every))


def test_logs_escape_what_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    before = logging.getLogRecordFactory()
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logger = logging.getLogger("tests.evil")
    logger.addHandler(handler)
    try:
        log_visibly()
        logger.warning("%s\nand a second line", EVIL)
        try:
            raise ValueError(EVIL)
        except ValueError:
            logger.exception("it failed")
    finally:
        logging.setLogRecordFactory(before)
        logger.removeHandler(handler)
    assert not UNSAFE.search(said.getvalue())
    assert said.getvalue().count("\\u202egod") == 2
    assert "\nand a second line\n" in said.getvalue()


def test_an_unforeseen_error_is_shown_safely() -> None:
    program = f"from metaclip.processes.plain_text import end_visibly\nend_visibly()\nraise RuntimeError({EVIL!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert not UNSAFE.search(done.stderr)
    assert "RuntimeError: \\u202egod" in done.stderr
    assert "Traceback" in done.stderr


@pytest.fixture(scope="module")
def evil_pool(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> tuple[Path, str, str]:
    """A pool whose entries, texts and addresses hold what a terminal obeys; what its run printed, in both forms."""
    folder = tmp_path_factory.mktemp("it's evil")
    (folder / "entries.txt").write_text(f"dog\n{EVIL.strip()}\n\u202egod\n", encoding="utf-8")
    pairs = [
        {"url": "https://a.example/1.jpg", "text": f"a dog, a \u202egod {EVIL} here"},
        {"url": "https://a.example/2.jpg", "text": "dog"},
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs))
    tree: dict[str, Any] = {
        "pool": "evil",
        "storage": str(folder / "store of $HOME"),
        "source": {"kind": "pairs", "paths": [str(folder / "pairs.jsonl")]},
        "metadata": {"entries": str(folder / "entries.txt")},
        "match": {"languages": []},
        "balance": {"t": 5},
        "execution": {"processes": 2},
    }
    (folder / "evil.yaml").write_text(yaml.safe_dump(tree))
    told = [CliRunner().invoke(app, ["run", str(folder / "evil.yaml"), *more]) for more in (["--json"], [])]
    assert [one.exit_code for one in told] == [0, 0], told[0].output
    return folder, told[0].stdout, told[1].stdout


def test_a_run_says_it_safely(evil_pool: tuple[Path, str, str]) -> None:
    _, as_json, shown = evil_pool
    assert not UNSAFE.search(as_json)
    assert not UNSAFE.search(shown)
    assert "\u202egod" in [entry["entry"] for entry in json.loads(as_json)["top_entries"]]
    assert "\\u202egod" in shown


@pytest.mark.slow
def test_the_command_that_a_run_tells_can_be_pasted(evil_pool: tuple[Path, str, str]) -> None:
    folder, _, shown = evil_pool
    told = re.search(r"^next: +(metaclip .*?)    \(", shown, re.M)
    assert told is not None
    words = shlex.split(told[1])
    assert words[:5] == ["metaclip", "rebalance", "evil", "--storage", str(folder / "store of $HOME")]
    assert CliRunner().invoke(app, words[1:]).exit_code == 0


Arguments = Callable[[Path], list[str]]
COMMANDS: dict[str, list[str]] = {
    "status": ["status", "evil"],
    "plan": ["plan", "evil"],
    "entry": ["entry", "evil", "--id", "1"],
    "explain": ["explain", "evil", f"a dog {EVIL}"],
    "files": ["files", "evil"],
    "gc": ["gc", "--dry-run"],
    "unknown pool": ["status", EVIL],
    "unknown entry": ["entry", "evil", f"{EVIL}!"],
    "trace": ["trace", "evil", "0" * 32],
}
EXIT_CODES = {"unknown pool": 2, "unknown entry": 3, "trace": 3}


@pytest.mark.parametrize("more", [["--json"], []], ids=["json", "shown"])
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", ["80", "40"])
def test_commands_say_it_safely(
    evil_pool: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch, name: str, more: list[str], width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    storage = ["--storage", str(evil_pool[0] / "store of $HOME")]
    done = CliRunner().invoke(app, [*COMMANDS[name], *storage, *more])
    assert done.exit_code == EXIT_CODES.get(name, 0), done.output
    assert not UNSAFE.search(done.output)
    if more:
        json.loads(done.stdout)
    else:
        _assert_fits(done.output, int(width))


@pytest.mark.slow
def test_metadata_and_doctor_and_export_say_it_safely(evil_pool: tuple[Path, str, str], tmp_path: Path) -> None:
    folder = evil_pool[0]
    config, store = str(folder / "evil.yaml"), str(folder / "store of $HOME")
    for arguments in (
        ["metadata", "show", config],
        ["metadata", "build", config],
        ["doctor", config, "--set", f"metadata.entries={json.dumps(EVIL)}"],
        ["export", "evil", "--storage", store, "--to", str(tmp_path / f"to {EVIL.replace('/', '')}")],
    ):
        for more in ([], ["--json"]):
            done = CliRunner().invoke(app, [*arguments, *more])
            assert done.exit_code == (2 if arguments[0] == "doctor" else 0), done.output
            assert not UNSAFE.search(done.output), arguments
