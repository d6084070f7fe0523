"""How many cores this process may use: fewer than the machine has, within a container or a job of a cluster."""

import math
import os
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Return the number of cores that this process may use, at least 1.

    That is bounded by the machine, by the process's affinity (`taskset`, Slurm), and by the quota of its control group,
    by which Docker (`--cpus`) and Kubernetes (`limits.cpu`) hold it.
    """
    found = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        found.append(len(os.sched_getaffinity(0)))
    with suppress(OSError, ValueError):  # version 2: "max 100000", or "250000 100000" for two and a half
        quota, period = (CGROUPS / "cpu.max").read_text().split()
        found.append(math.ceil(int(quota) / int(period)))
    with suppress(OSError, ValueError):  # version 1: -1 is no bound
        quota_v1 = int((CGROUPS / "cpu/cpu.cfs_quota_us").read_text())
        if quota_v1 > 0:
            found.append(math.ceil(quota_v1 / int((CGROUPS / "cpu/cpu.cfs_period_us").read_text())))
    return max(1, min(found))
