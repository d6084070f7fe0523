"""Hooks of the site: pages that are files of the checkout elsewhere, the notebook, and links between all of them."""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Pages of the site, and the files of the checkout that they are."""
NOTEBOOK = "notebook.ipynb"

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```.*?^```)", re.M | re.S)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie elsewhere; the notebook becomes Markdown."""
    for page, name in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    cells = json.loads((ROOT / "docs" / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    content = "\n\n".join(map(_cell, cells))
    files.append(File.generated(config, NOTEBOOK.replace(".ipynb", ".md"), content=content))
    return files


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"]).rstrip()
    return source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links that are right in a checkout into links of the site; of files that it has not, the text stays."""
    own = page.file.src_uri
    here = posixpath.dirname(ELSEWHERE.get(own, f"docs/{own}"))

    def link(found: re.Match[str]) -> str:
        mark, text, target, anchor = found[1], found[2], found[3], found[4] or ""
        if not target or ":" in target:
            return found[0]
        wanted = posixpath.normpath(posixpath.join(here, target))
        if not (ROOT / wanted).exists():
            raise ValueError(f"{own}: links to {target}, which does not exist")
        for name, file in ELSEWHERE.items():
            if wanted == file:
                return f"{mark}[{text}]({posixpath.relpath(name, posixpath.dirname(own) or '.')}{anchor})"
        if wanted.startswith("docs/") and not wanted.endswith(".py"):
            name = wanted.removeprefix("docs/").replace(".ipynb", ".md")
            return f"{mark}[{text}]({posixpath.relpath(name, posixpath.dirname(own) or '.')}{anchor})"
        return text

    # What stands in a block of code is no link.
    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)
