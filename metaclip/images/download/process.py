"""The process of a careful download: `-m metaclip.images.download.process`, arguments as JSON on its input."""

import json
import sys
from typing import Any


def main() -> None:
    """Download as the input says; an error that was foreseen is told in one line."""
    given: dict[str, Any] = json.load(sys.stdin)
    from metaclip.errors import MetaclipError
    from metaclip.images.download.care import Care
    from metaclip.images.download.file import Wanted, download

    care = Care(**given.pop("care"))
    try:
        download(Wanted(**{**given, "columns": tuple(given["columns"])}, care=care))
    except* MetaclipError as errors:
        sys.exit("\n".join(map(str, _leaves(errors))))


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    main()
