"""The task runner that all flows share."""

import os

from prefect.task_runners import ThreadPoolTaskRunner


def task_runner() -> ThreadPoolTaskRunner:
    """Return a runner with enough threads for all worker processes; the thread of a task only waits for a process."""
    return ThreadPoolTaskRunner(max_workers=max(8, 2 * (os.cpu_count() or 1)))
