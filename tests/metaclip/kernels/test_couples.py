"""Couples of a plain definition and a fast way: each names the other, and the test that holds them equal."""

import ast
import importlib.util
import re

import pytest

from tests.examples import ROOT
from tests.metaclip.kernels.source import kernel_modules, modules

FAST = re.compile(r"^Equals `([\w.]+)`; held by ([\w/.]+)\.$", re.MULTILINE)
DEFINITION = re.compile(r"^This is the definition; its fast way is `([\w.]+)`\.$", re.MULTILINE)

DOCS = {module.name: ast.get_docstring(module.tree) or "" for module in modules()}
FAST_WAYS = {name: found for name, doc in DOCS.items() if (found := FAST.findall(doc))}
DEFINITIONS = {name: found[1] for name, doc in DOCS.items() if (found := DEFINITION.search(doc))}

COUPLES = {
    "metaclip.html.tree": "metaclip.html.scanner",
    "metaclip.html.message": "metaclip.html.responses",
    "metaclip.archive.records": "metaclip.archive.batches",
    "metaclip.wat.definition": "metaclip.wat.scanner",
    "metaclip.pairs.collector": "metaclip.pairs.assembly",
    "metaclip.pairs.urls": "metaclip.pairs.page_bases",
    "metaclip.pairs.uids": "metaclip.pairs.uid_columns",
    "metaclip.matching.definition": "metaclip.matching.matcher",
    "metaclip.matching.boundaries": "metaclip.matching.matcher",
    "metaclip.kernels.memory": "metaclip.kernels.llvm",
}
# Kernels that are the only way: what holds them is said in their tests.
ALONE = {
    "metaclip.balance.algorithm",
    "metaclip.balance.size_ladder",
    "metaclip.html.complexity",
    "metaclip.kernels.memory",
    "metaclip.metadata.wikipedia.bzip2",
    "metaclip.metadata.wikipedia.page_views",
    "metaclip.metadata.wikipedia.words",
}


def test_each_definition_names_its_fast_way() -> None:
    assert DEFINITIONS == COUPLES


@pytest.mark.parametrize("definition", sorted(COUPLES))
def test_each_fast_way_names_its_definition(definition: str) -> None:
    assert definition in [equal for equal, _ in FAST_WAYS[COUPLES[definition]]]


@pytest.mark.parametrize("name", sorted(FAST_WAYS))
def test_what_is_named_exists(name: str) -> None:
    for equal, test in FAST_WAYS[name]:
        assert importlib.util.find_spec(equal) is not None
        assert test.startswith("tests/")
        text = (ROOT / test).read_text()
        assert "def test_" in text
        # The test reads what it compares with: the definition itself, or what uses it.
        package = equal.rpartition(".")[0] or equal
        assert package in text


@pytest.mark.parametrize("name", sorted(FAST_WAYS))
def test_it_is_the_last_line(name: str) -> None:
    assert FAST.fullmatch(DOCS[name].splitlines()[-1])


def test_every_module_with_kernels_says_what_it_equals_or_stands_alone() -> None:
    names = {module.name for module in kernel_modules()}
    assert names - set(FAST_WAYS) == ALONE
