"""The public face: `import metaclip` gives what README and docs use, and costs nothing until it is used."""

import re
import subprocess
import sys

import pytest

import metaclip
from tests.examples import ROOT, run_example


def test_every_name_is_there_and_is_described() -> None:
    assert metaclip.__all__ == sorted(metaclip.__all__)
    assert {*metaclip.__all__} == {*metaclip._HOMES, "__version__"}
    assert {*metaclip.__all__} <= {*dir(metaclip)}
    for name in metaclip.__all__:
        assert getattr(metaclip, name).__doc__, name


def test_what_is_imported_for_type_checkers_is_what_a_program_gets() -> None:
    source = (ROOT / "metaclip/__init__.py").read_text()
    stated = {
        name.strip(): module
        for module, names in re.findall(r"^    from (metaclip[\w.]*) import (.+)$", source, re.M)
        for name in names.partition("#")[0].split(",")
    }
    assert stated == metaclip._HOMES


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(AttributeError, match="'metaclip' has no attribute 'match'"):
        metaclip.match  # noqa: B018


def test_importing_it_imports_nothing_else() -> None:
    program = "import sys; before = {*sys.modules}; import metaclip; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    brought = {name.split(".")[0] for name in done.stdout.split()}
    assert not brought & {"numba", "numpy", "pyarrow", "pydantic", "prefect", "fsspec", "llvmlite"}


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_pages_import_from_the_face(page: str) -> None:
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S):
        for module, names in re.findall(r"^\s*from (metaclip[\w.]*) import ([\w, ]+)", block, re.M):
            assert module == "metaclip", f"{page}: `from {module} import {names}`; the face does not have it"
            missing = {name.strip() for name in names.partition("#")[0].split(",")} - {*metaclip.__all__}
            assert not missing, f"{page}: the face has no {', '.join(missing)}"


def test_the_example_of_the_readme_runs_and_gives_what_it_says() -> None:
    found = run_example("../README.md")
    assert found["counts"].tolist() == [1, 1, 2]
    assert found["offsets"].tolist() == [0, 2, 4]
    assert found["kept"].dtype == bool
