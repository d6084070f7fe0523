"""The task runner that all flows share."""

import os

from prefect.task_runners import ThreadPoolTaskRunner


def task_runner() -> ThreadPoolTaskRunner:
    """Return threads enough to keep all worker processes busy; a task's thread only waits for one."""
    return ThreadPoolTaskRunner(max_workers=max(8, 2 * (os.cpu_count() or 1)))
