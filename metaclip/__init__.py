"""CLIP data curation with the MetaCLIP algorithm (arXiv 2309.16671), as a plain library.

Nothing in this package imports Prefect: `tasks` wraps these functions and `flows` orders them.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("metaclip-pipeline")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
