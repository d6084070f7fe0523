"""Where the real data for tests lies; tests that need it skip, with a reason, where it is missing."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("METACLIP_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")


def shared_data(*parts: str) -> Path:
    """Return the path of a file or folder of the shared data, or skip the calling test."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here: real data for tests is not part of the project")
    return path
