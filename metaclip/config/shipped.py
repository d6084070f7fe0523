"""The configurations that come with the package, made right for where it is installed."""

import json
import re
from pathlib import Path

from metaclip.errors import ConfigError

_DATA = Path(__file__).parents[1] / "data"
_CHECKOUT = Path(__file__).parents[2] / "configs"
_ENTRIES = "metaclip/data/demo_entries.json.gz"
"""As configurations of a checkout name the list of entries that the package ships."""


def shipped_names() -> list[str]:
    """Return the names of the configurations, such as `demo`."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def shipped_config(name: str, path: str | None = None) -> str:
    """Return a configuration as YAML, for a file at `path` (default: `NAME.yaml`), which its comments name.

    Raises:
        ConfigError: if there is none of this name; the message lists the names.
    """
    known = shipped_names()
    if name not in known:
        raise ConfigError(f"no configuration {name!r} comes with the package; there: {', '.join(known)}")
    text = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    entries = str(_DATA / "demo_entries.json.gz")
    quoted = entries if re.fullmatch(r"[\w./-]+", entries) else json.dumps(entries)
    return text.replace(_ENTRIES, quoted).replace(f"configs/{name}.yaml", path or f"{name}.yaml")


def _folder() -> Path:
    """Return `metaclip/data/configs` of a wheel, or `configs` of a checkout."""
    installed = _DATA / "configs"
    return installed if installed.is_dir() else _CHECKOUT
