"""Every error that the project raises on purpose.

The text of an error names the file, field or record, the reason, and the way out. `exit_code` is
what the `metaclip` command ends with.
"""


class MetaclipError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class ConfigError(MetaclipError):
    """A configuration that cannot work: unknown key, impossible value, missing file."""

    exit_code = 2


class InputError(MetaclipError):
    """An input that is missing, changed or unreadable."""

    exit_code = 3


class OtherModelError(InputError):
    """A language model of another shape than the compiled kernel knows; fastText itself may read it."""


class UnreadableFileError(InputError):
    """A file none of whose records can be used; counted and listed, it does not end a run.

    `reason` is a short snake_case word that statistics count by.
    """

    def __init__(self, path: str, reason: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["UnreadableFileError"], tuple[str, str, str]]:
        # The default rebuilds from the message alone, which fails between processes.
        return type(self), (self.path, self.reason, self.detail)


class TransportError(InputError):
    """A file that could not be fetched now but may be later: the task is retried."""


class ChangedFileError(TransportError):
    """A file that was replaced by another while it was read: read it again from its start."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"{path}: changed while it was read: {detail}")
        self.path = path
        self.detail = detail

    def __reduce__(self) -> tuple[type["ChangedFileError"], tuple[str, str]]:
        return type(self), (self.path, self.detail)


class StoreError(MetaclipError):
    """An output of an earlier stage that is missing, short or altered, or a store not reachable."""

    exit_code = 4


class StoreOutOfReachError(StoreError):
    """A store that gave no answer now but may give one later: the task is retried."""


class StageError(MetaclipError):
    """A stage that ran and whose result must not be used (too many failed files, nothing matched)."""

    exit_code = 5


class WorkerLostError(MetaclipError):
    """A worker process died while it computed (killed, out of memory): the task is retried."""

    exit_code = 6


class ServerLostError(MetaclipError):
    """The Prefect server that a command started for itself ended before the command did, or never came up."""

    exit_code = 6
