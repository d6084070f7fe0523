"""What holds for the project as a whole."""

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import metaclip

ROOT = Path(__file__).parents[1]
LOCKS = {name: (ROOT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
both_locks = pytest.mark.parametrize("lock", LOCKS)


@pytest.mark.slow
def test_importing_every_module_of_metaclip_imports_no_prefect() -> None:
    program = (
        "import pkgutil, importlib, sys, metaclip\n"
        "names = [m.name for m in pkgutil.walk_packages(metaclip.__path__, 'metaclip.') if '__main__' not in m.name]\n"
        "assert len(names) > 20, names\n"
        "for name in names: importlib.import_module(name)\n"
        "print(sorted(n for n in sys.modules if n.split('.')[0] in {'prefect', 'flows', 'tasks'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_no_module_of_metaclip_names_prefect_in_an_import() -> None:
    named = [
        path
        for path in (ROOT / "metaclip").rglob("*.py")
        if re.search(r"^\s*(import|from)\s+(prefect|flows|tasks)\b", path.read_text(), re.M)
    ]
    assert named == []


def _locked(lock: str) -> dict[str, list[str]]:
    pins: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", LOCKS[lock], re.M):
        pins.setdefault(name.lower().replace("_", "-"), []).append(version)
    return pins


@both_locks
def test_lock_satisfies_pyproject(lock: str) -> None:
    groups = PROJECT["dependency-groups"]
    wanted = [PROJECT["project"]["dependencies"], groups["build"]]
    if lock == "requirements-dev.lock":
        wanted += [groups["test"], groups["lint"], *PROJECT["project"]["optional-dependencies"].values()]
    pins = _locked(lock)
    for requirement in map(Requirement, chain(*wanted)):
        versions = pins.get(requirement.name.lower().replace("_", "-"))
        assert versions, f"{requirement.name} is not locked: run make lock"
        for version in versions:
            assert requirement.specifier.contains(Version(version), prereleases=True), f"{requirement} locked {version}"


def test_tests_run_with_the_versions_that_users_get() -> None:
    tested = _locked("requirements-dev.lock")
    differing = {name for name, versions in _locked("requirements.lock").items() if not {*versions} & {*tested[name]}}
    assert differing == set()


@both_locks
def test_lock_names_no_host_and_no_path_and_hashes_everything(lock: str) -> None:
    assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links|@ ", LOCKS[lock])
    for block in re.split(r"\n(?=[A-Za-z0-9])", LOCKS[lock]):
        if "==" in block.split("\n", 1)[0]:
            assert "--hash=sha256:" in block, block.split("\n", 1)[0]


# Written so that they do not match themselves.
@pytest.mark.parametrize("pattern", [r"/[w]ork/", r"/[r]oot/", r"[p]ypi\.org"])
def test_nothing_committed_names_this_machine_or_a_registry(pattern: str) -> None:
    found = subprocess.run(["git", "grep", "-nIE", pattern], capture_output=True, text=True, cwd=ROOT)
    if found.returncode == 128:
        pytest.skip("not a git checkout")
    assert found.stdout == ""


def test_the_page_on_configuration_is_true() -> None:
    from metaclip.config.docs import page

    assert (ROOT / "docs/configuration.md").read_text() == page(), (
        "python -m metaclip.config.docs > docs/configuration.md"
    )


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def _anchors(page: Path) -> set[str]:
    """Return the names that links can use for a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    from metaclip.prepare.doctor import PYTHONS

    assert PROJECT["project"]["requires-python"] == PYTHONS
    classifiers = "\n".join(PROJECT["project"]["classifiers"])
    versions = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", classifiers, re.M)
    allowed = SpecifierSet(PYTHONS)
    assert versions == [f"3.{minor}" for minor in range(30) if f"3.{minor}" in allowed]
    told = f"You need Python {', '.join(versions[:-1])} or {versions[-1]}."
    assert told in (ROOT / "README.md").read_text()
    assert told in (ROOT / "CONTRIBUTING.md").read_text()
    first, last = (version.replace(".", ", ") for version in (versions[0], versions[-1]))
    assert f"({first}) <= v <= ({last})" in (ROOT / "Makefile").read_text()


def test_pages_link_to_what_exists() -> None:
    for path in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", path.read_text()):
            if "://" not in target:
                page = path.parent / target if target else path
                assert page.exists(), f"{path.name} links to {target}"
                assert not anchor or anchor in _anchors(page), f"{path.name} links to {target}#{anchor}"


def test_pages_name_folders_of_the_store_as_they_are_called_now() -> None:
    from metaclip.store.job import Job

    for module in pkgutil.walk_packages(metaclip.__path__, "metaclip."):
        if re.match(r"metaclip\.(stages|report|metadata|store)\.", module.name):
            importlib.import_module(module.name)
    jobs, versions = [Job], {}
    for job in jobs:
        jobs += job.__subclasses__()
        if "STAGE" in vars(job):
            versions[job.STAGE] = job.VERSION
    for path in PAGES:
        text = "" if path.name == "CHANGELOG.md" else path.read_text()
        for stage, version in re.findall(r"\b([a-z][a-z-]*)-v(\d+)\b(?=[/`])", text):
            assert versions[stage] == int(version), f"{path.name}: {stage}-v{version}"


def test_readme_leads_to_every_page_on_the_project() -> None:
    linked = set(re.findall(r"\]\(([^)#\s]+)", (ROOT / "README.md").read_text()))
    assert {page.relative_to(ROOT).as_posix() for page in PAGES} - {"README.md"} <= linked


# Written so that it does not match itself.
@pytest.mark.parametrize(("phrase", "instead"), [("thousand[ ]+million", "billion")])
def test_texts_say_it_in_plain_words(phrase: str, instead: str) -> None:
    sources = [path for top in ("metaclip", "tasks", "flows", "bench", "tests") for path in (ROOT / top).rglob("*.py")]
    sources += [*(ROOT / "metaclip").rglob("*.html"), *(ROOT / "configs").glob("*.yaml"), *PAGES]
    found = [path.name for path in sources if re.search(phrase, path.read_text(), re.IGNORECASE)]
    assert found == [], f"write {instead}"


def test_commits_are_checked_by_what_lint_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    (lint,) = re.findall(r"^lint:.*\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text(), re.M)
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in lint.splitlines()]
    assert [hook["entry"] for hook in hooks][: len(commands)] == commands
