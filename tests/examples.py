"""The Python that the pages in docs/ show, run as it stands there."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def run_example(page: str, **changed: str) -> dict[str, Any]:
    """Run the first Python block of a page, in which strings may be changed; return its names."""
    block = re.search(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)
    assert block is not None, f"{page} shows no Python"
    code = block[1]
    for old, new in changed.items():
        assert f'"{old}"' in code
        code = code.replace(f'"{old}"', f'"{new}"')
    names: dict[str, Any] = {}
    exec(compile(code, page, "exec"), names)
    return names
