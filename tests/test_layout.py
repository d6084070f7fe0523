"""The layout of the code: packages on floors, imports that go down only, and tests that mirror the packages."""

import ast
import re
import runpy
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.examples import ROOT

METADATA = ("metaclip.metadata.wikipedia", "metaclip.metadata.taxonomy")

FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "metaclip",
        "metaclip.errors",
        "metaclip.schemas",
        "metaclip.kernels",
        "metaclip.processes",
        "metaclip.io.addresses",
    ),
    ("metaclip.config", "metaclip.io", "metaclip.io.storage", "metaclip.matching", "metaclip.language"),
    ("metaclip.archive", "metaclip.pairs", "metaclip.tables"),
    ("metaclip.html", "metaclip.wat", "metaclip.rows", "metaclip.store"),
    (
        "metaclip.sources",
        "metaclip.metadata",
        "metaclip.metadata.languages",
        "metaclip.metadata.wikipedia",
        "metaclip.metadata.taxonomy",
        "metaclip.balance",
        "metaclip.pool",
    ),
    ("metaclip.stages", "metaclip.lists"),
    ("metaclip.explore", "metaclip.samples", "metaclip.survivors", "metaclip.export", "metaclip.removal"),
    (
        "metaclip.report",
        "metaclip.opened",
        "metaclip.demo",
        "metaclip.images",
        "metaclip.images.dedup",
        "metaclip.images.download",
    ),
    ("metaclip.prepare", "metaclip.browse"),
    ("tasks",),
    ("flows", "flows.pictures"),
    ("flows.cli", "flows.python"),
)
"""From the ground up: a package may import those of lower floors, and what SAME_FLOOR allows."""

SAME_FLOOR = {
    "metaclip.io.storage": {"metaclip.io"},
    "metaclip.language": {"metaclip.io"},  # the fingerprint of a model file
    "metaclip.metadata": {"metaclip.metadata.wikipedia", "metaclip.metadata.taxonomy", "metaclip.metadata.languages"},
    "metaclip.samples": {"metaclip.explore", "metaclip.removal"},  # the finished pool
    "metaclip.opened": {"metaclip.report"},  # hosts, and words
    "flows.python": {"flows.cli"},  # the local server, and the bars of progress
    "metaclip.removal": {"metaclip.survivors"},
    "metaclip.images.dedup": {"metaclip.images"},
    "metaclip.images.download": {"metaclip.images"},
    "flows.pictures": {"flows"},
    "flows": {"flows.pictures"},  # rebalance
    "metaclip.report": {"metaclip.images", "metaclip.images.dedup"},
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
    if module in ("flows.__main__", "metaclip.__main__"):  # the command under other names
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


@pytest.mark.slow
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


TESTED_IN = {
    "archive.wacz": "metaclip/archive/test_records.py",
    "io.addresses.hosts": "metaclip/sources/test_listing.py",
    "rows.arrow_types": "metaclip/rows/test_parquet_rows.py",
    "rows.encodings": "metaclip/sources/test_pair_files.py",
    "rows.columns": "metaclip/sources/test_pair_files.py",
    "rows.lines": "metaclip/sources/test_pair_files.py",
    "rows.text_rows": "metaclip/sources/test_pair_files.py",
    "sources.kinds": "metaclip/sources/test_listing.py",
    "sources.path_lists": "metaclip/sources/test_listing.py",
    "sources.side_files": "metaclip/sources/test_listing.py",
    "store.statistics": "flows/cli/test_damaged.py",
    "store.checked_file": "metaclip/store/test_altered.py",
    "store.distrust": "metaclip/store/test_altered.py",
    "io.storage.locked": "metaclip/io/storage/test_update.py",
    "processes.child": "metaclip/processes/test_starting.py",
    "processes.json_lines": "flows/cli/test_metrics.py",
    "processes.plain_text": "flows/cli/test_show.py",
    "archive.batch_kernel": "metaclip/archive/test_batches.py",
    "archive.damaged_members": "metaclip/archive/test_salvage.py",
    "browse.index_job": "metaclip/browse/test_pool_index.py",
    "browse.segment": "metaclip/browse/test_pool_index.py",
    "browse.server": "metaclip/browse/test_app.py",
    "balance.tally": "flows/cli/test_inspect.py",
    "config.base": "metaclip/config/test_settings.py",
    "config.card": "metaclip/report/test_job.py",
    "config.docs": "test_project.py",
    "config.languages": "metaclip/config/test_groups.py",
    "config.language_labels": "metaclip/language/test_identifier.py",
    "config.shipped": "test_wheel.py",
    "config.metadata": "metaclip/metadata/test_entry_list.py",
    "config.prices": "metaclip/pool/test_cost.py",
    "demo.archive": "metaclip/demo/test_demo.py",
    "demo.make_entries": "metaclip/demo/test_demo.py",
    "demo.pages": "metaclip/demo/test_demo.py",
    "demo.texts": "metaclip/demo/test_demo.py",
    "errors": "flows/cli/test_run.py",
    "explore.entry": "flows/cli/test_inspect.py",
    "opened.run": "flows/python/test_run.py",
    "opened.pool": "flows/python/test_run.py",
    "opened.shown": "flows/python/test_run.py",
    "opened.difference_page": "metaclip/opened/test_difference.py",
    "lists.show": "metaclip/lists/test_add_variants.py",
    "explore.misses": "metaclip/stages/test_near.py",
    "samples.unmatched": "metaclip/samples/test_sample.py",
    "prepare.ahead": "flows/test_by_language.py",
    "explore.explain_list": "flows/cli/test_worldwide.py",
    "explore.explain": "flows/cli/test_inspect.py",
    "explore.pool": "flows/cli/test_inspect.py",
    "explore.sizes": "flows/cli/test_inspect.py",
    "explore.trace": "flows/cli/test_inspect.py",
    "export.formats": "metaclip/export/test_run.py",
    "export.image_process": "flows/test_images.py",
    "export.images": "flows/test_images.py",
    "export.selection": "metaclip/export/test_run.py",
    "html.head_kernel": "metaclip/html/test_responses.py",
    "html.pages": "metaclip/html/test_responses.py",
    "html.scan_kernel": "metaclip/html/test_scanner.py",
    "html.value_kernel": "metaclip/html/test_scanner.py",
    "config.images": "metaclip/images/dedup/test_filter_job.py",
    "images.decoder": "metaclip/images/test_decoding.py",
    "images.decoding_process": "metaclip/images/test_decoding.py",
    "images.downloaded": "metaclip/images/test_inspect_job.py",
    "images.download.care": "metaclip/images/download/test_fetch.py",
    "images.download.guard": "metaclip/images/download/test_fetch.py",
    "images.download.opt_out": "metaclip/images/download/test_fetch.py",
    "images.download.origins": "metaclip/images/download/test_fetch.py",
    "images.download.process": "metaclip/images/download/test_file.py",
    "images.download.shards": "metaclip/images/download/test_file.py",
    "images.download.shrink_process": "metaclip/images/download/test_shrink.py",
    "images.download.shrinkers": "metaclip/images/download/test_shrink.py",
    "images.fate": "metaclip/images/dedup/test_sheets_job.py",
    "images.dedup.shown_job": "flows/test_rebalance_images.py",
    "images.boxes": "metaclip/images/test_blur.py",
    "removal.purged_job": "flows/test_remove.py",
    "removal.removed_job": "flows/test_remove.py",
    "images.dedup.outputs": "metaclip/images/dedup/test_sheets_job.py",
    "images.dedup.keys_job": "metaclip/images/dedup/test_cover_job.py",
    "images.dedup.pairs_job": "metaclip/images/dedup/test_cover_job.py",
    "io.client": "metaclip/io/test_http.py",
    "io.fingerprint_log": "metaclip/io/test_fingerprints.py",
    "io.hashing": "metaclip/store/test_store.py",
    "io.resume": "metaclip/io/test_http.py",
    "io.storage.any_files": "metaclip/store/test_store.py",
    "io.storage.file_system": "metaclip/store/test_store.py",
    "io.storage.files": "metaclip/store/test_store.py",
    "io.storage.local_files": "metaclip/store/test_store.py",
    "io.storage.s3_files": "metaclip/io/test_object_store.py",
    "io.storage.store_file": "metaclip/io/test_object_store.py",
    "io.temporary": "metaclip/store/test_store.py",
    "kernels.clock": "tasks/test_compiling.py",
    "kernels.compiler": "metaclip/kernels/test_jit.py",
    "kernels.llvm": "metaclip/kernels/test_memory.py",
    "kernels.types": "metaclip/kernels/test_source.py",
    "kernels.utf8": "metaclip/matching/test_matcher.py",
    "language.model_file": "metaclip/language/test_identifier.py",
    "matching.table_kernel": "metaclip/matching/test_matcher.py",
    "metadata.build_job": "metaclip/metadata/test_entry_list.py",
    "metadata.jobs": "metaclip/metadata/test_entry_list.py",
    "metadata.list_job": "metaclip/metadata/test_entry_list.py",
    "metadata.ngrams_job": "metaclip/metadata/test_entry_list.py",
    "metadata.select": "metaclip/metadata/test_entry_list.py",
    "metadata.show": "metaclip/metadata/test_entry_list.py",
    "metadata.titles_job": "metaclip/metadata/test_entry_list.py",
    "metadata.wikipedia.bzip2_kernel": "metaclip/metadata/wikipedia/test_bzip2.py",
    "metadata.wikipedia.chunks": "metaclip/metadata/wikipedia/test_page_views.py",
    "metadata.wikipedia.count_lines": "metaclip/metadata/wikipedia/test_count_files.py",
    "metadata.wikipedia.sorted_counts": "metaclip/metadata/wikipedia/test_ngrams.py",
    "metadata.wikipedia.words": "metaclip/metadata/wikipedia/test_ngrams.py",
    "pairs.assembly_kernel": "metaclip/pairs/test_assembly.py",
    "pairs.batch": "metaclip/pairs/test_collector.py",
    "pairs.image_columns": "metaclip/pairs/test_assembly.py",
    "pool.status": "flows/cli/test_upkeep.py",
    "prepare.doctor": "flows/cli/test_upkeep.py",
    "prepare.jobs": "flows/test_curate.py",
    "prepare.nothing_new": "flows/test_latest.py",
    "report.croissant": "metaclip/report/test_job.py",
    "report.figures": "metaclip/report/test_job.py",
    "report.page": "metaclip/report/test_job.py",
    "report.planned": "metaclip/report/test_job.py",
    "report.plots": "metaclip/report/test_job.py",
    "report.pool_outputs": "metaclip/report/test_job.py",
    "report.publish": "metaclip/report/test_job.py",
    "samples.again": "metaclip/samples/test_sample.py",
    "samples.of_set": "metaclip/report/test_job.py",
    "samples.walk": "metaclip/samples/test_sample.py",
    "schemas": "metaclip/report/test_job.py",
    "sources.common_crawl": "flows/test_latest.py",
    "sources.samples": "metaclip/sources/test_pair_files.py",
    "sources.wat": "metaclip/wat/test_definition.py",
    "stages.balance": "flows/test_curate.py",
    "stages.count": "flows/test_curate.py",
    "stages.group_counts": "flows/test_by_language.py",
    "stages.gather": "flows/test_curate.py",
    "stages.match": "flows/test_curate.py",
    "stages.partition": "flows/test_curate.py",
    "stages.source": "flows/test_curate.py",
    "store.delivery": "metaclip/export/test_run.py",
    "store.job": "metaclip/store/test_store.py",
    "store.manifest": "metaclip/store/test_store.py",
    "store.writer": "metaclip/store/test_store.py",
    "survivors.filter_job": "metaclip/survivors/test_lists.py",
    "survivors.list_job": "metaclip/survivors/test_lists.py",
    "survivors.members": "metaclip/survivors/test_lists.py",
    "tables.by_group": "flows/test_by_language.py",
    "tables.csr": "metaclip/survivors/test_lists.py",
    "tables.parquet": "metaclip/store/test_store.py",
    "tables.scratch": "metaclip/export/test_run.py",
    "wat.scan_kernel": "metaclip/wat/test_scanner.py",
    "wat.string_kernel": "metaclip/wat/test_scanner.py",
}
"""Modules without a test file of their own name, and the file in tests/ that holds most of what they promise."""


def test_the_test_of_a_module_is_found_by_its_name_or_in_the_table() -> None:
    own = {
        ".".join(path.relative_to(ROOT / "tests/metaclip").with_suffix("").parts).replace("test_", "")
        for path in (ROOT / "tests/metaclip").rglob("test_*.py")
    }
    there = {name.removeprefix("metaclip.") for name, path in modules().items() if not path.name.startswith("__")} - {
        name for name in modules() if not name.startswith("metaclip.")
    }
    assert there - own - TESTED_IN.keys() == set(), "add a test file of that name, or a row to TESTED_IN"
    assert TESTED_IN.keys() - there == set()
    assert TESTED_IN.keys() & own == set()
    assert {path for path in TESTED_IN.values() if not (ROOT / "tests" / path).is_file()} == set()
