"""All errors that the project raises on purpose.

The message of an error names the file, field or record, the reason, and what to do. `exit_code` is
the exit code of the `metaclip` command.
"""


class MetaclipError(Exception):
    """Base class of all errors that are raised on purpose."""

    exit_code = 1


class ConfigError(MetaclipError):
    """An invalid configuration: unknown key, impossible value, missing file."""

    exit_code = 2


class InputError(MetaclipError):
    """An input that is missing, changed or unreadable."""

    exit_code = 3


class OtherModelError(InputError):
    """A language model that the compiled kernel does not support; fastText itself may support it."""


class UnreadableFileError(InputError):
    """A file without a usable record. It is counted and listed, and does not end a run.

    `reason` is a short snake_case word, by which statistics count.
    """

    def __init__(self, path: str, reason: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["UnreadableFileError"], tuple[str, str, str]]:
        # The default rebuilds the error from its message only, which fails between processes.
        return type(self), (self.path, self.reason, self.detail)


class TransportError(InputError):
    """A file that could not be fetched now, but perhaps later: the task is retried."""


class ChangedFileError(TransportError):
    """A file that was replaced while it was read: it must be read again from its start."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"{path}: changed while it was read: {detail}")
        self.path = path
        self.detail = detail

    def __reduce__(self) -> tuple[type["ChangedFileError"], tuple[str, str]]:
        return type(self), (self.path, self.detail)


class StoreError(MetaclipError):
    """An output of an earlier stage is missing, short or altered, or the store cannot be reached."""

    exit_code = 4


class StoreOutOfReachError(StoreError):
    """The store gave no answer now, but may give one later: the task is retried."""


class StageError(MetaclipError):
    """A stage ran, but its result must not be used (too many failed files, nothing matched)."""

    exit_code = 5


class TaskLimitError(StageError):
    """A task that took more time or memory than `execution` allows; it would do so again, so it is not retried."""


class WorkerLostError(MetaclipError):
    """A worker process died during a computation (killed, out of memory): the task is retried."""

    exit_code = 6


class ServerLostError(MetaclipError):
    """The Prefect server that a command started for itself ended before the command did, or never came up."""

    exit_code = 6
