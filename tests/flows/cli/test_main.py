"""The command as a whole is light: help needs none of the libraries that the work needs."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metaclip.export.run import MOST_ROWS
from tests.examples import ROOT
from tests.pools import make_pool

HEAVY = {"prefect", "numba", "numpy", "pyarrow", "fsspec", "s3fs", "aiohttp", "matplotlib", "selectolax", "fasttext"}

PROGRAM = """
import sys
from flows.cli.main import app
sys.argv = ["metaclip", *sys.argv[1:]]
try:
    app()
except SystemExit:
    print("imported:", *sorted(sys.modules))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["export", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    (imported,) = [line for line in done.stdout.splitlines() if line.startswith("imported:")]
    assert not HEAVY & {name.split(".")[0] for name in imported.split()}


@pytest.mark.slow
def test_what_looks_at_a_pool_imports_neither_prefect_nor_the_compiler(crawl: Path, tmp_path: Path) -> None:
    make_pool(crawl, tmp_path)
    name = "small"
    for arguments in (["plan", name], ["explain", name, "a photo of a dog"], ["status", name]):
        command = [sys.executable, "-c", PROGRAM, *arguments, "--storage", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        (imported,) = [line for line in done.stdout.splitlines() if line.startswith("imported:")]
        assert not {"prefect", "numba", "llvmlite"} & {one.split(".")[0] for one in imported.split()}, arguments[0]


def test_the_most_rows_that_help_states_are_those_of_an_export() -> None:
    from flows.cli.export import _MOST_ROWS

    assert _MOST_ROWS == MOST_ROWS


def _commands() -> dict[tuple[str, ...], Any]:
    """Return all commands by their words."""
    from typer.main import get_command

    from flows.cli.main import app

    found: dict[tuple[str, ...], Any] = {}
    for name, sub in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(sub, "commands", None)
        found |= {(name,): sub} if inner is None else {(name, one): of for one, of in inner.items()}
    return found


def test_the_readme_has_every_command_with_its_options() -> None:
    lines = re.findall(r"^metaclip ([a-z].*)", (ROOT / "README.md").read_text(), re.M)
    assert len(lines) == len(set(lines))
    for names, command in _commands().items():
        told = " ".join(line for line in lines if f"{line} ".startswith(f"{' '.join(names)} "))
        assert told, f"metaclip {' '.join(names)} is missing"
        named = set(re.findall(r"--[a-z][a-z-]*", told.replace("--[no-]", "--")))
        options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
        assert named <= {name for option in options for name in (*option.opts, *option.secondary_opts)}
        lacking = [o.opts[0] for o in options if not o.hidden and not named & {*o.opts, *o.secondary_opts}]
        assert not lacking or "] … [" in told, f"metaclip {' '.join(names)}: {lacking}"


@pytest.mark.slow
def test_every_command_has_an_example_that_names_options_it_has() -> None:
    from typer.testing import CliRunner

    from flows.cli.main import app

    found = _commands()
    assert len(found) >= 21
    for names, sub in found.items():
        example = sub.epilog.removeprefix("Example: ").split()
        assert example[: 1 + len(names)] == ["metaclip", *names]
        options = {option for parameter in sub.params for option in parameter.opts}
        assert {word for word in example if word.startswith("--")} <= options
        shown = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"})
        assert "Example: metaclip" in shown.stdout


def test_help_has_the_main_commands_first_and_completion() -> None:
    from typer.testing import CliRunner

    from flows.cli.main import app

    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).stdout
    places = [shown.index(title) for title in ("Make a set", "See what is in it", "Keep it running")]
    assert places == sorted(places)
    assert "--install-completion" in shown
