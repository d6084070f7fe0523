"""Draw the summary of a run: `metaclip run CONFIG --json | python docs/images/summary_svg.py OUT.svg`."""

import io
import json
import re
import sys
from pathlib import Path

from rich.console import Console

from flows.cli.show.summary import show_summary

console = Console(record=True, width=100, soft_wrap=True, file=io.StringIO())
show_summary(json.load(sys.stdin), console)
drawing = console.export_svg(title="make demo")
# The fonts would be fetched from a server; any monospace font will do.
Path(sys.argv[1]).write_text(re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.DOTALL))
