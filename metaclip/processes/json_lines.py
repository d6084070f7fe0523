"""Logs as lines of JSON, for whatever collects logs. It imports the standard library alone: processes begin with it."""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

VARIABLE = "METACLIP_LOG_FORMAT"
"""Its value is `text` or `json`; child processes see it too."""

OF_PREFECT = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json",
    "PREFECT_LOGGING_FORMATTERS_JSON_CLASS": f"{__name__}.JsonLines",
    "PREFECT_LOGGING_COLORS": "false",
}
"""The variables by which Prefect, and its workers, log such lines too."""

_ABOUT_RUNS = ("flow_run_id", "flow_run_name", "task_run_id", "task_run_name", "stage", "done", "total")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, message, and what it says of a run."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()  # logging's configuration gives a format, which this has no use for

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; all of it is ASCII."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        line |= {name: getattr(record, name) for name in _ABOUT_RUNS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def is_chosen() -> bool:
    """Return whether logs are to be lines of JSON."""
    return os.environ.get(VARIABLE) == "json"


def log_as_lines() -> None:
    """Have what this process logs without a handler be lines of JSON, if that is chosen."""
    if is_chosen() and logging.lastResort is not None:
        logging.lastResort.setFormatter(JsonLines())
