"""How kernels are written: with types that say what they take, and nothing called that a cache would not notice."""

import ast
import importlib

import pytest

from metaclip.kernels import jit, memory, types
from metaclip.kernels.llvm import INTRINSICS
from tests.metaclip.kernels.source import annotations, decorated, kernel_modules, modules, names

LLVM = {"metaclip.kernels.llvm"}


def test_every_type_in_a_kernels_signature_says_what_it_is() -> None:
    bare = [
        f"{module.name}.{name}"
        for module in kernel_modules()
        for name, function in module.kernels.items()
        for annotation in annotations(function)
        if annotation is None or "Any" in names(annotation)
    ]
    assert bare == []


def test_what_kernels_call_has_such_types_too() -> None:
    (module,) = (module for module in modules() if module.name == memory.__name__)
    declared = [node for node in module.tree.body if isinstance(node, ast.FunctionDef) and decorated(node, "native")]
    assert [one.name for one in declared] == list(INTRINSICS)
    bare = [one.name for one in declared for found in annotations(one) if found is None or "Any" in names(found)]
    assert bare == []


def test_every_alias_says_what_it_is() -> None:
    (module,) = (module for module in modules() if module.name == types.__name__)
    body = module.tree.body
    for place, node in enumerate(body):
        if isinstance(node, ast.AnnAssign):
            following = body[place + 1] if place + 1 < len(body) else None
            assert isinstance(following, ast.Expr), ast.unparse(node)
            assert isinstance(following.value, ast.Constant), ast.unparse(node)


@pytest.mark.slow
def test_a_kernel_calls_only_what_its_cache_notices() -> None:
    """Machine code is compiled anew where the kernel's file or one of SHARED changes, and not for other files."""
    shared = {path.resolve() for path in jit.SHARED}
    files = {module.name: module.path.resolve() for module in modules()}
    elsewhere = [
        f"{module.name}.{name} calls {called.func.id} of {module.imports[called.func.id]}"
        for module in kernel_modules()
        for name, function in module.kernels.items()
        for called in ast.walk(function)
        if isinstance(called, ast.Call) and isinstance(called.func, ast.Name)
        # Names of other packages are numba's to know.
        if (path := files.get(module.imports.get(called.func.id, ""))) and path not in shared
    ]
    assert elsewhere == []
    assert all(path.is_file() for path in shared)


@pytest.mark.slow
def test_a_kernel_names_what_it_calls() -> None:
    """By an attribute of a module nobody would see, above, which file that is."""
    through_modules = [
        f"{module.name}.{name}: {ast.unparse(called.func)}"
        for module in kernel_modules()
        for name, function in module.kernels.items()
        for called in ast.walk(function)
        if isinstance(called, ast.Call)
        and isinstance(called.func, ast.Attribute)
        and isinstance(called.func.value, ast.Name)
        and module.imports.get(called.func.value.id, "").startswith("metaclip")
    ]
    assert through_modules == []


def test_llvm_is_written_in_one_file() -> None:
    using = {
        module.name
        for module in modules()
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "llvmlite")
        or (isinstance(node, ast.ImportFrom) and any(alias.name == "intrinsic" for alias in node.names))
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "llvmlite" for alias in node.names))
    }
    assert using == LLVM


def test_modules_with_kernels_can_be_imported() -> None:
    for module in kernel_modules():
        found = importlib.import_module(module.name)
        assert all(hasattr(found, name) for name in module.kernels)
