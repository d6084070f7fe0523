"""The wheel, built and installed for real in an environment of its own, and used from a folder that has no checkout."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

from metaclip.config.shipped import shipped_config, shipped_names
from metaclip.errors import ConfigError
from tests.examples import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.long]


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_API", "PYTHONPATH"))}
    return subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    done = _run(sys.executable, "-m", "pip", "wheel", *options, ROOT, cwd=folder)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and the libraries of this one; its folder of programs."""
    home = tmp_path_factory.mktemp("a place with spaces")
    assert _run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home).returncode == 0
    python = home / "bin/python"
    done = _run(
        *(sys.executable, "-m", "pip", "--python", python),
        *("install", "--quiet", "--no-deps", "--no-index", wheel),
        cwd=home,
    )
    assert done.returncode == 0, done.stderr
    # The folder is added, and not what its own .pth files name, so that the checkout is not among them.
    (own,) = home.glob("lib/python*/site-packages")
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_the_wheel_holds_the_configurations_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    found = {Path(name).stem for name in names if name.startswith("metaclip/data/configs/")}
    assert found == {path.stem for path in (ROOT / "configs").glob("*.yaml")}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"flows", "metaclip", "tasks"}


def test_the_demo_runs_from_any_folder(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text("raise SystemExit('a file of the user was imported')")
    done = _run(installed / "python", "-m", "metaclip", "demo", "my crawl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "600 pages with" in done.stdout
    assert "top entries before and after balancing at t = 20" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flows.py", "my crawl"]
    told = re.search(r"^next: +(metaclip rebalance .*?)    \(", done.stdout, re.M)
    assert told is not None
    again = subprocess.run(
        f"{told[1]} --json",
        shell=True,
        cwd=tmp_path,
        env={"PATH": str(installed), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(again.stdout)["t"] == "50"


@pytest.mark.parametrize("kind", shipped_names())
def test_a_configuration_is_written_once_and_names_what_is_installed(
    installed: Path, tmp_path: Path, kind: str
) -> None:
    command = (installed / "metaclip", "init", kind)
    done = _run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = tmp_path / f"{kind}.yaml"
    tree = yaml.safe_load(written.read_text())
    assert tree["pool"]
    if kind in ("demo", "commoncrawl-sample"):
        entries = Path(tree["metadata"]["entries"])
        assert entries.is_relative_to(installed.parent)
        assert entries.is_file()
    assert "configs/" not in written.read_text()
    written.write_text("mine")
    again = _run(*command, cwd=tmp_path)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert written.read_text() == "mine"


def test_an_unknown_kind_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no configuration 'dmeo' comes with the package; there: commoncrawl-sample"):
        shipped_config("dmeo")


def test_an_installation_for_development_adds_one_folder_to_the_path(tmp_path: Path) -> None:
    program = f"import hatchling.build; print(hatchling.build.build_editable({str(tmp_path)!r}))"
    done = _run(sys.executable, "-c", program, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    archive = zipfile.ZipFile(tmp_path / done.stdout.strip())
    (added,) = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert archive.read(added).decode().split() == [str(ROOT)]
