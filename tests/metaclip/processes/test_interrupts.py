"""An interrupt ends the process at once, or raises where work is to be ended well."""

import signal
import subprocess
import sys

import pytest

from metaclip.processes.interrupts import MESSAGE, interruptible, uninterruptible
from tests.examples import ROOT


def _run(program: str) -> subprocess.CompletedProcess[str]:
    begin = (
        "import os, signal; from metaclip.processes.interrupts import *; from metaclip.processes import interrupts\n"
    )
    return subprocess.run([sys.executable, "-c", begin + program], cwd=ROOT, capture_output=True, text=True)


def test_the_process_ends_at_once_even_where_exceptions_are_swallowed() -> None:
    done = _run("end_at_once()\ntry: signal.raise_signal(signal.SIGINT)\nexcept BaseException: pass\nprint('went on')")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"{MESSAGE}\n")


def test_a_second_interrupt_does_not_wait_for_what_the_first_one_ends() -> None:
    done = _run(
        "try:\n"
        "    with interruptible():\n"
        "        try: signal.raise_signal(signal.SIGINT)\n"
        "        finally:\n"
        "            print('ending', flush=True)\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "            print('went on')\n"
        "except KeyboardInterrupt: print('raised')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "ending\n", f"{MESSAGE}\n")


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    done = _run(
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "end_at_once()\n"
        "with interruptible(), uninterruptible(): signal.raise_signal(signal.SIGINT)\n"
        "print('went on')"
    )
    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_blocks_leave_the_handler_as_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    with uninterruptible(), interruptible():
        pass
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
