"""The command as a whole is light: help needs none of the libraries that the work needs."""

import subprocess
import sys

import pytest

from metaclip.export.run import MOST_ROWS
from tests.examples import ROOT

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


def test_the_most_rows_that_help_states_are_those_of_an_export() -> None:
    from flows.cli.export import _MOST_ROWS

    assert _MOST_ROWS == MOST_ROWS
