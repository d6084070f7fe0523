"""The layout of the code: packages on floors, imports that go down only, and tests that mirror the packages."""

import ast
import re
import runpy
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.examples import ROOT

FLOORS: tuple[tuple[str, ...], ...] = (
    ("metaclip", "metaclip.errors", "metaclip.schemas", "metaclip.kernels", "metaclip.io.addresses"),
    ("metaclip.config", "metaclip.io", "metaclip.io.storage", "metaclip.matching", "metaclip.language"),
    ("metaclip.archive", "metaclip.pairs", "metaclip.tables"),
    ("metaclip.html", "metaclip.wat", "metaclip.rows", "metaclip.store"),
    ("metaclip.sources", "metaclip.metadata", "metaclip.metadata.wikipedia", "metaclip.balance", "metaclip.pool"),
    ("metaclip.stages",),
    ("metaclip.explore", "metaclip.survivors", "metaclip.export"),
    ("metaclip.report",),
    ("metaclip.prepare", "metaclip.demo"),
    ("tasks",),
    ("flows",),
    ("flows.cli",),
)
"""From the ground up: a package may import those of lower floors, and what SAME_FLOOR allows."""

SAME_FLOOR = {
    "metaclip.io.storage": {"metaclip.io"},
    "metaclip.language": {"metaclip.io"},  # the fingerprint of a model file
    "metaclip.metadata": {"metaclip.metadata.wikipedia"},
}

MOST_FILES = 12
"""Modules of a package, `__init__` and `__main__` aside."""

FLOOR = {package: number for number, floor in enumerate(FLOORS) for package in floor}


@cache
def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    found = {}
    for top in ("metaclip", "tasks", "flows"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def package_of(module: str) -> str:
    """The longest name of the floors' table that a module lies in."""
    if module == "flows.__main__":  # the command under another name
        return "flows.cli"
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    found = next(name for name in names if name in FLOOR)
    # `metaclip` stands for its face alone: a module or package that the table does not name is on no floor.
    assert found != "metaclip" or module == "metaclip", f"{module}: no floor of tests/test_layout.py has its package"
    return found


def imports(path: Path) -> set[str]:
    """The project's own modules that a file imports, anywhere in it, type checking included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                found.add(inner if inner in modules() else node.module or "")
    return {module for module in found if module in modules()}


@pytest.mark.parametrize("module", modules())
def test_imports_go_down(module: str) -> None:
    package = package_of(module)
    if module == "metaclip":
        return  # the face: test_face.py holds that it imports nothing before it is asked to
    for imported in imports(modules()[module]):
        other = package_of(imported)
        allowed = other == package or FLOOR[other] < FLOOR[package] or other in SAME_FLOOR.get(package, ())
        assert allowed, f"{module} (floor {FLOOR[package]}) imports {imported} (floor {FLOOR[other]})"


def test_no_circle() -> None:
    graph = {module: imports(path) - {module, "metaclip"} for module, path in modules().items() if module != "metaclip"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules that import each other: {' -> '.join(error.args[1])}")


def test_packages_are_small_and_say_what_lives_there() -> None:
    for package in FLOOR:
        path = modules().get(package)
        if package == "metaclip" or path is None or path.name != "__init__.py":
            continue
        files = [file.stem for file in path.parent.glob("*.py") if not file.stem.startswith("__")]
        assert len(files) <= MOST_FILES, f"{package} has {len(files)} modules: it is two ideas"
        assert ast.get_docstring(ast.parse(path.read_text())), f"{package} does not say what lives there"


def test_the_page_on_architecture_has_every_package_and_its_floor() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rows = {name: int(floor) for floor, name in re.findall(r"^\| (\d+) \| `([\w./]+?)/?` \|", page, re.M)}
    stated = {f"metaclip.{name.replace('/', '.')}": floor for name, floor in rows.items()}
    expected = {
        package: number + 1
        for package, number in FLOOR.items()
        if package.startswith("metaclip.") and package not in ("metaclip.errors", "metaclip.schemas", "metaclip.demo")
    }
    assert stated == expected


def test_the_drawing_of_the_floors_is_that_of_the_page() -> None:
    script = runpy.run_path(str(ROOT / "docs/images/floors_svg.py"))
    drawn = script["drawing"]((ROOT / "docs/architecture.md").read_text())
    assert (ROOT / "docs/images/floors.svg").read_text() == drawn, "python docs/images/floors_svg.py"
