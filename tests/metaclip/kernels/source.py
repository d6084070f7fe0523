"""What the code says about its kernels: which there are, what they take and what they call."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.examples import ROOT

PACKAGE = ROOT / "metaclip"


@dataclass(frozen=True)
class Module:
    """A file of the package."""

    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts)

    @property
    def kernels(self) -> dict[str, ast.FunctionDef]:
        """The functions decorated with `@kernel`, by name."""
        return {
            node.name: node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef) and decorated(node, "kernel")
        }

    @property
    def imports(self) -> dict[str, str]:
        """The module that a name was imported from, by name."""
        return {
            alias.asname or alias.name: node.module or ""
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }


def decorated(function: ast.FunctionDef, name: str) -> bool:
    """Tell whether a function has the decorator of that name."""
    return any(isinstance(one, ast.Name) and one.id == name for one in function.decorator_list)


@cache
def modules() -> list[Module]:
    """Return all files of the package."""
    return [Module(path, ast.parse(path.read_text())) for path in sorted(PACKAGE.rglob("*.py"))]


def kernel_modules() -> list[Module]:
    """Return the files that hold kernels."""
    return [module for module in modules() if module.kernels]


def annotations(function: ast.FunctionDef) -> Iterator[ast.expr | None]:
    """Give the annotations of a function's arguments and of what it returns."""
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        yield argument.annotation
    yield function.returns


def names(node: ast.AST) -> set[str]:
    """Return the names in an expression."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
