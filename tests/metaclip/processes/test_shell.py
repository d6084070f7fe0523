"""Told commands mean the same when they are pasted."""

import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.processes.shell import command

AWKWARD = [
    "a pool",
    "it's",
    '"quoted"',
    "$HOME `ls` $(ls)",
    "a;b|c&d",
    "*",
    "",
    "\x1b[31m",
    "‮abc",
    "\x9b31m",
    "a\nb\\'",
    "é",
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
@pytest.mark.parametrize("word", AWKWARD)
def test_a_shell_reads_what_was_meant(word: str) -> None:
    _holds(word)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
@settings(max_examples=30)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_shell_reads_any_text(word: str) -> None:
    _holds(word)


def _holds(word: str) -> None:
    told = command("printf", "%s", word)
    assert told.isprintable()
    done = subprocess.run(["bash", "-c", told], capture_output=True, check=True)
    assert done.stdout.decode(sys.getfilesystemencoding(), "surrogateescape") == word
