"""One hook for trackers of experiments: the figures of a run's summary, sent to one that is installed."""

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from metaclip.errors import ConfigError

Tracker = Literal["wandb", "tensorboard", "mlflow"]

PROJECT = "metaclip"
"""The project (wandb) or experiment (mlflow) of all runs; `WANDB_PROJECT` and `MLFLOW_EXPERIMENT_NAME` name another."""

_LOG_FOLDER = "tensorboard"


def require(name: str) -> Tracker:
    """Check that a tracker is one of those known and installed, before any work.

    Raises:
        ConfigError: it is not; the message has the way out.
    """
    for known in get_args(Tracker):
        if name == known:
            if find_spec(name) is None:
                raise ConfigError(f"--log {name}: is not installed; pip install {name}, or leave --log out")
            found: Tracker = known
            return found
    raise ConfigError(f"--log {name}: unknown; known are {', '.join(get_args(Tracker))}")


def log_summary(name: Tracker, summary: Mapping[str, Any]) -> None:
    """Send the numbers of a summary to a tracker, as `funnel/curated`, and its names as parameters.

    wandb and mlflow take where to from their own settings (`WANDB_MODE`, `MLFLOW_TRACKING_URI`). TensorBoard's events
    are written to the folder `tensorboard/<pool>` of the current folder.

    Raises:
        ConfigError: the tracker did not take them, for whatever reason of its own; the run is done all the same.
    """
    numbers = dict(_numbers(summary))
    named = {key: str(summary[key]) for key in ("pool", "storage", "t", "curated", "report_page") if key in summary}
    try:
        _SENDERS[name](str(summary["pool"]), numbers, named)
    except Exception as error:
        reason = str(error).rstrip(".")
        raise ConfigError(
            f"--log {name}: the run is done, but its figures were not taken: {reason}. Check the settings of {name},"
            " and give the command again, which finds all outputs"
        ) from error


def _numbers(summary: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in summary.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)


def _wandb(pool: str, numbers: dict[str, float], named: dict[str, str]) -> None:
    import os

    import wandb

    with wandb.init(project=os.environ.get("WANDB_PROJECT", PROJECT), name=pool, config=named) as run:
        run.log(numbers)


def _tensorboard(pool: str, numbers: dict[str, float], named: dict[str, str]) -> None:  # noqa: ARG001 (as the others)
    from tensorboard.summary import Writer

    writer = Writer(str(Path(_LOG_FOLDER) / pool))
    for key, number in numbers.items():
        writer.add_scalar(key, number, 0)
    writer.flush()
    writer.close()


def _mlflow(pool: str, numbers: dict[str, float], named: dict[str, str]) -> None:
    import os

    import mlflow

    if "MLFLOW_EXPERIMENT_NAME" not in os.environ:
        mlflow.set_experiment(PROJECT)
    with mlflow.start_run(run_name=pool):
        mlflow.log_params(named)
        mlflow.log_metrics(numbers)


_SENDERS: dict[str, Callable[[str, dict[str, float], dict[str, str]], None]] = {
    "wandb": _wandb,
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}
