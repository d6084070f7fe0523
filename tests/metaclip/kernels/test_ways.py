"""Which way work is done, and what tells that kernels are compiled for this machine."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metaclip.kernels import ways
from metaclip.kernels.jit import plain
from metaclip.kernels.ways import COMPILE_SECONDS, NEVER, Ways, Work


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """An empty cache; the function has what was found out about the machine found out again."""

    def again() -> None:
        ways._cache_folder.cache_clear()
        ways._machine_code.cache_clear()

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    again()
    yield again
    monkeypatch.undo()
    again()


def chosen(of: Ways, work: Work, kernels: ways.Kernels = "auto") -> bool:
    with of.chosen(work, kernels) as way:
        assert plain() == way
    assert not plain()
    return way


def test_little_work_is_done_plainly_where_nothing_is_compiled() -> None:
    assert chosen(Ways(), Work(("match",), 0.1))


def test_much_work_has_its_kernels_compiled() -> None:
    mine = Ways()
    assert not chosen(mine, Work(("match",), 100))
    assert not chosen(mine, Work(("match",), 0.1))
    assert not chosen(Ways(), Work(("match",), 0.1))  # in another process too
    assert chosen(mine, Work(("match", "balance"), 0.1))  # another group is not


def test_no_process_loses_more_than_compiling_takes() -> None:
    mine = Ways()
    each = COMPILE_SECONDS["match"] / 4
    assert [chosen(mine, Work(("match",), each)) for _ in range(6)] == [True] * 4 + [False] * 2


def test_what_is_never_done_plainly() -> None:
    assert not chosen(Ways(), Work(("words",), NEVER))


def test_the_setting_decides() -> None:
    assert chosen(Ways(), Work(("words",), NEVER), "plain")
    assert not chosen(Ways(), Work(("match",), 0.0), "compiled")
    assert chosen(Ways(), Work(("match",), 0.0), "plain")


def test_work_without_kernels_is_the_same_either_way() -> None:
    assert not chosen(Ways(), Work())


def test_a_failure_marks_nothing() -> None:
    mine = Ways()
    with pytest.raises(KeyError), mine.chosen(Work(("match",), NEVER)):
        raise KeyError
    assert mine.missing(["match"]) == ["match"]
    assert not plain()


def test_marks_are_of_one_processor(fresh: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, features, missing in (("znver3", "", True), ("znver3", "", False), ("znver3", "+avx", True)):
        monkeypatch.setenv("NUMBA_CPU_NAME", name)
        monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
        fresh()
        mine = Ways()
        assert bool(mine.missing(["match"])) == missing
        mine.mark(["match"])


def test_marks_are_of_this_machine_s_own_processor(fresh: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    Ways().mark(["match"])
    read = Path.read_text
    text = "processor\t: 0\nmodel name\t: Another\nflags\t\t: fpu\n\nprocessor\t: 1\n"

    def changed(path: Path, *arguments: object, **named: object) -> str:
        return text if str(path) == "/proc/cpuinfo" else read(path, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", changed)
    fresh()
    assert Ways().missing(["match"]) == ["match"]


def test_where_no_mark_can_be_written_the_process_itself_remembers(
    fresh: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", os.devnull)
    fresh()
    mine = Ways()
    mine.mark(["match"])
    assert mine.missing(["match"]) == []
    assert Ways().missing(["match"]) == ["match"]
