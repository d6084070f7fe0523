"""CLIP data curation with the MetaCLIP algorithm (arXiv 2309.16671), as a plain library.

What `__all__` lists is the public face: `from metaclip import Matcher, min_t`. Each name is imported
from its module when it is first used, so that `import metaclip` itself takes no time
and imports nothing.

Nothing in this package imports Prefect: `tasks` wraps these functions and `flows` orders them. `run` alone calls
`flows`, by name and when it is called.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from metaclip.balance.algorithm import KeepProbability, draws, keep_probability, min_t
    from metaclip.balance.counts import entry_counts, tail_t
    from metaclip.config.loading import load_config, parse_config
    from metaclip.config.settings import Config, Extract
    from metaclip.errors import MetaclipError
    from metaclip.explore.files import list_files
    from metaclip.explore.online import BalancedStream, OnlineBalancer, OnlineLanguageBalancer
    from metaclip.explore.pool import FinishedPool
    from metaclip.language.identifier import LanguageIdentifier
    from metaclip.language.model_file import find_model
    from metaclip.matching.matcher import Matcher
    from metaclip.opened.pool import Pool, open  # noqa: A004 (called as metaclip.open)
    from metaclip.opened.run import run
    from metaclip.pairs.uid_columns import uids
    from metaclip.sources.pair_files import read_pairs
    from metaclip.sources.warc import read_warc
    from metaclip.sources.wat import read_wat
    from metaclip.sources.webdataset import read_webdataset

    __version__: str

_HOMES = {
    "BalancedStream": "metaclip.explore.online",
    "Config": "metaclip.config.settings",
    "Extract": "metaclip.config.settings",
    "FinishedPool": "metaclip.explore.pool",
    "KeepProbability": "metaclip.balance.algorithm",
    "LanguageIdentifier": "metaclip.language.identifier",
    "Matcher": "metaclip.matching.matcher",
    "MetaclipError": "metaclip.errors",
    "OnlineBalancer": "metaclip.explore.online",
    "OnlineLanguageBalancer": "metaclip.explore.online",
    "Pool": "metaclip.opened.pool",
    "draws": "metaclip.balance.algorithm",
    "entry_counts": "metaclip.balance.counts",
    "find_model": "metaclip.language.model_file",
    "keep_probability": "metaclip.balance.algorithm",
    "list_files": "metaclip.explore.files",
    "load_config": "metaclip.config.loading",
    "min_t": "metaclip.balance.algorithm",
    "open": "metaclip.opened.pool",
    "parse_config": "metaclip.config.loading",
    "read_pairs": "metaclip.sources.pair_files",
    "read_warc": "metaclip.sources.warc",
    "read_wat": "metaclip.sources.wat",
    "read_webdataset": "metaclip.sources.webdataset",
    "run": "metaclip.opened.run",
    "tail_t": "metaclip.balance.counts",
    "uids": "metaclip.pairs.uid_columns",
}

__all__ = [
    "BalancedStream",
    "Config",
    "Extract",
    "FinishedPool",
    "KeepProbability",
    "LanguageIdentifier",
    "Matcher",
    "MetaclipError",
    "OnlineBalancer",
    "OnlineLanguageBalancer",
    "Pool",
    "__version__",
    "draws",
    "entry_counts",
    "find_model",
    "keep_probability",
    "list_files",
    "load_config",
    "min_t",
    "open",
    "parse_config",
    "read_pairs",
    "read_warc",
    "read_wat",
    "read_webdataset",
    "run",
    "tail_t",
    "uids",
]


def __getattr__(name: str) -> "Any":
    if name == "__version__":
        found = _version()
    elif name in _HOMES:
        found = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def _version() -> str:
    # Imported here: `python -m metaclip` must not take a file `csv.py` of the current folder for Python's own.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("metaclip-pipeline")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
