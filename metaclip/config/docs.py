"""The page docs/configuration.md, generated from the descriptions of the settings.

`python -m metaclip.config.docs` prints it; a test holds the page equal to it.
"""

import json
import sys
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from metaclip.config.settings import Config


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Configuration",
        "",
        "One YAML file describes one pool. Unknown keys, keys given twice, invalid values and missing files are",
        "refused before any work.",
        "On the command line `--set section.key=value` changes a field. The value is YAML.",
        "A configuration never contains secrets: object stores read them from the environment.",
        "",
        *_section(Config, ""),
    ]
    return "\n".join(lines) + "\n"


def _section(model: type[BaseModel], prefix: str) -> Iterator[str]:
    plain = {name: info for name, info in model.model_fields.items() if not _is_model(info.annotation)}
    if plain:
        yield "| field | default | |"
        yield "|---|---|---|"
    for name, info in plain.items():
        if info.default_factory is not None:
            default = "see right"
        elif info.default is PydanticUndefined:
            default = "must be given"
        else:
            default = f"`{json.dumps(info.default)}`" if info.default is not None else "none"
        text = " ".join((info.description or "").split()).replace("|", "\\|")
        yield f"| `{prefix}{name}` | {default} | {text} |"
    for name, info in model.model_fields.items():
        if _is_model(info.annotation):
            assert isinstance(info.annotation, type)
            yield ""
            yield f"## {prefix}{name}"
            yield ""
            yield " ".join((info.annotation.__doc__ or "").split())
            yield ""
            yield from _section(info.annotation, f"{prefix}{name}.")


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


if __name__ == "__main__":
    sys.stdout.write(page())
