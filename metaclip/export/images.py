"""Download the images of an export: one input file at a time, to a folder named by its content."""

import importlib.util
import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Literal, get_args

from metaclip.errors import ConfigError, StageError, StoreError, TransportError
from metaclip.export.run import EXPORT
from metaclip.processes.starting import start
from metaclip.store.store import Store

SETTINGS = "images.settings.json"
COLUMNS = ["uid", "text_key", "page_url", "lang", "lang_score", "min_t"]
"""Columns that img2dataset passes through, in addition to `url` and `caption`."""

Output = Literal["webdataset", "files", "parquet"]
Resize = Literal["border", "no", "keep_ratio", "keep_ratio_largest", "center_crop"]
Downloader = Literal["careful", "img2dataset"]
"""`careful`: the project's own (`metaclip.images.download`), which writes what img2dataset writes."""


@dataclass(frozen=True)
class ImageSettings:
    """Size and format of images; a folder of images has one of these settings.

    Raises:
        ConfigError: a value is invalid; the message names it.
    """

    image_size: int = 256
    resize_mode: str = "border"
    output_format: str = "webdataset"
    samples_per_shard: int = 10_000
    downloader: str = "careful"

    def __post_init__(self) -> None:
        _at_least("image size", self.image_size, 1)
        _at_least("samples per shard", self.samples_per_shard, 1)
        _one_of("resize mode", self.resize_mode, get_args(Resize))
        _one_of("output format", self.output_format, get_args(Output))
        _one_of("downloader", self.downloader, get_args(Downloader))
        if self.downloader == "careful" and self.output_format != "webdataset":
            raise ConfigError(
                f"output format {self.output_format!r}: the careful downloader writes webdataset; choose that, or"
                " --downloader img2dataset"
            )

    @property
    def recorded(self) -> dict[str, Any]:
        """What a folder of images keeps of them; a folder of older versions names no downloader."""
        found = asdict(self)
        if self.downloader == "img2dataset":
            del found["downloader"]
        return found


@dataclass(frozen=True)
class Effort:
    """How images are downloaded; nothing here changes an image that comes through.

    Raises:
        ConfigError: a value is invalid; the message names it.
    """

    processes: int = 1
    threads: int = 64
    """Open connections; with img2dataset in each process, else of all."""
    timeout: int = 10
    retries: int = 1
    user_agent_token: str = "img2dataset"
    """Your name in the user agent; robots.txt and X-Robots-Tag headers for this name are respected too."""
    min_success: float = 0.01
    """The minimum share of a file's images that must be downloaded; with less, the network is assumed to be broken."""
    contact: str = ""
    """An address of yours, for the user agent. This and what follows is of the careful downloader."""
    host_connections: int = 4
    max_host_share: float = 0.05
    max_seconds: int = 60
    max_bytes: int = 50 << 20
    max_pixels: int = 89_478_485
    allow_loopback: bool = False

    def __post_init__(self) -> None:
        least = {"processes": 1, "threads": 1, "timeout": 1, "retries": 0, "host_connections": 1}
        least |= {"max_seconds": 1, "max_bytes": 1, "max_pixels": 1}
        for name, value in least.items():
            _at_least(name.replace("_", " "), getattr(self, name), value)
        if not 0 <= self.min_success <= 1:
            raise ConfigError(f"min success {self.min_success:g}: must be 0 to 1")
        if not 0 < self.max_host_share <= 1:
            raise ConfigError(f"max host share {self.max_host_share:g}: must be above 0 and at most 1")
        if not self.user_agent_token.strip() or not self.user_agent_token.isprintable():
            raise ConfigError("user agent token: must be printable, and not empty: servers are told who asks")
        if not self.contact.isprintable() or not self.contact.isascii():
            raise ConfigError("contact: must be printable ASCII, such as an address of a page or of mail")

    @property
    def care(self) -> dict[str, Any]:
        """The same as the fields of `metaclip.images.download.care.Care`."""
        same = ("timeout", "retries", "host_connections", "max_host_share", "max_seconds", "max_bytes", "max_pixels")
        return {
            **{name: getattr(self, name) for name in (*same, "contact", "allow_loopback")},
            "connections": self.threads,
            "token": self.user_agent_token.strip(),
        }


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{name} {value}: must be at least {least}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} {value!r}: not one of {', '.join(known)}")


@dataclass(frozen=True)
class ExportedFile:
    """One input file."""

    path: str
    bytes: int
    sha256: str
    rows: int

    @property
    def key(self) -> str:
        """Name of its folder of images, which does not change if files are added to the export."""
        return self.sha256[:16]


def require_downloader(settings: ImageSettings) -> None:
    """Check that what downloads is installed: img2dataset, or Pillow, which shrinks pictures.

    Raises:
        ConfigError: it is not; the message says how to install it.
    """
    name, module = ("img2dataset",) * 2 if settings.downloader == "img2dataset" else ("Pillow", "PIL")
    if importlib.util.find_spec(module) is None:
        raise ConfigError(f"{name} is not installed; install it with: pip install 'metaclip-pipeline[images]'")


def exported_files(export: str) -> list[ExportedFile]:
    """Return the files of an export that img2dataset can read.

    Raises:
        ConfigError: it is not a finished export, or has another format.
    """
    store = Store(export)
    try:
        described = store.read_json(EXPORT)
    except OSError as error:
        raise StoreError(f"{export}: cannot be read: {error}") from error
    if described is None:
        raise ConfigError(f"{export}: no {EXPORT} there, so no finished export; make one with `metaclip export`")
    if described["format"] != "img2dataset":
        raise ConfigError(f"{export}: an export in the form {described['format']}; export with --format img2dataset")
    return [
        ExportedFile(store.address(file["name"]), file["bytes"], file["sha256"], file["rows"])
        for file in described["files"]
    ]


def claim(to: str, settings: ImageSettings) -> None:
    """Reserve a folder for images with these settings.

    Raises:
        ConfigError: if it has images with other settings.
        StoreError: if it cannot be written.
    """
    try:
        store = Store(to)
        found = store.read_json(SETTINGS)
        if found is None:
            store.write_json(SETTINGS, settings.recorded)
    except OSError as error:
        raise StoreError(f"{to}: cannot be used: {error}; check that it may be written") from error
    if found is None or found == settings.recorded:
        return
    given = asdict(settings)
    found.setdefault("downloader", "img2dataset")
    others = [f"{name} {found.get(name)!r}" for name, value in given.items() if found.get(name) != value]
    raise ConfigError(
        f"{to}: holds images made with {', '.join(others)}; name another folder, or use the same settings"
    )


def shards_of(file: ExportedFile, settings: ImageSettings) -> int:
    """Return the number of shards of a file."""
    return -(-file.rows // settings.samples_per_shard)


def finished_shards(to: str, file: ExportedFile) -> int:
    """Return how many of them are finished."""
    return sum(name.endswith("_stats") for name in Store(to).names(file.key))


def find_images(to: str, file: ExportedFile) -> dict[str, Any] | None:
    """Return the result for a file, if it is done."""
    found = Store(to).read_json(f"{file.key}.json")
    return None if found is None else dict(found)


def download_file(to: str, file: ExportedFile, settings: ImageSettings, effort: Effort) -> dict[str, Any]:
    """Download the images of one file and return how many succeeded; `<key>.json` with the result is written last.

    After a kill it continues after the last shard that was finished. Shards are numbered by position, which is safe
    in a folder that always has one input.

    Raises:
        StoreError: the input is missing or short.
        TransportError: the downloader ended before it had tried every row.
        StageError: fewer succeeded than `effort.min_success`; the partial result is removed.
    """
    store = Store(to)
    folder, name = file.path.rsplit("/", 1)
    if not Store(folder).has(name, file.bytes):
        raise StoreError(f"{file.path}: missing or short; run `metaclip export` again, which mends it")
    is_careful = settings.downloader == "careful"
    arguments = _careful(folder, name, to, file, settings, effort)
    if not is_careful:
        arguments = _img2dataset(store.address(file.key), file, settings, effort)
    _run("metaclip.images.download.process" if is_careful else "metaclip.export.image_process", arguments, file)
    counts, reasons = Counter[str](), Counter[str]()
    for shard in store.names(file.key):
        if shard.endswith("_stats"):
            statistics = store.read_json(f"{file.key}/{shard}.json") or {}
            counts.update({name: statistics[name] for name in _STATISTICS})
            reasons.update(statistics["status_dict"])
    if counts["count"] != file.rows:
        raise TransportError(
            f"{file.path}: the downloader tried {counts['count']:,} of {file.rows:,} rows; run again to go on"
            " (with fewer processes or threads, if memory or files ran out)"
        )
    reasons.pop("success", None)
    if counts["successes"] < effort.min_success * file.rows:
        store.remove_all([found.path for found in store.files(file.key)])
        raise StageError(
            f"{file.path}: {counts['successes']:,} of {file.rows:,} images came through, fewer than min success ="
            f" {effort.min_success:g}; most frequent: {dict(reasons.most_common(3))}. Is the network there? Run again,"
            " or lower --min-success"
        )
    done = {
        "input": {"name": name, "sha256": file.sha256, "rows": file.rows},
        "settings": settings.recorded,
        "success": counts["successes"],
        "failed_to_download": counts["failed_to_download"],
        "failed_to_resize": counts["failed_to_resize"],
        "reasons": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:20]),
    }
    store.write_json(f"{file.key}.json", done)
    return done


_STATISTICS = ("count", "successes", "failed_to_download", "failed_to_resize")


def _careful(
    source: str, name: str, to: str, file: ExportedFile, settings: ImageSettings, effort: Effort
) -> dict[str, Any]:
    """Return the fields of `metaclip.images.download.file.Wanted`."""
    return {
        "source": source,
        "name": name,
        "to": to,
        "folder": file.key,
        "columns": COLUMNS,
        "image_size": settings.image_size,
        "resize_mode": settings.resize_mode,
        "samples_per_shard": settings.samples_per_shard,
        "processes": effort.processes,
        "care": effort.care,
    }


def _img2dataset(to: str, file: ExportedFile, settings: ImageSettings, effort: Effort) -> dict[str, Any]:
    """Return the arguments of img2dataset."""
    return {
        "url_list": file.path,
        "input_format": "parquet",
        "url_col": "url",
        "caption_col": "caption",
        "save_additional_columns": COLUMNS,
        "output_folder": to,
        "output_format": settings.output_format,
        "image_size": settings.image_size,
        "resize_mode": settings.resize_mode,
        "number_sample_per_shard": settings.samples_per_shard,
        "processes_count": effort.processes,
        "thread_count": effort.threads,
        "timeout": effort.timeout,
        "retries": effort.retries,
        "user_agent_token": effort.user_agent_token,
    }


def _run(module: str, arguments: dict[str, Any], file: ExportedFile) -> None:
    """Run a downloader in a process of its own, which ends with its children when this one does."""
    with tempfile.TemporaryFile(prefix="metaclip-") as log, tempfile.TemporaryFile(prefix="metaclip-") as given:
        given.write(json.dumps(arguments).encode())
        given.seek(0)
        child = start(module, stdin=given, stdout=log, stderr=log)
        try:
            code = child.wait()
        finally:
            child.end()
        if code:
            raise TransportError(
                f"{file.path}: the downloader ended with code {code}; run again to go on. It said:\n" + _tail(log)
            )


def _tail(log: BinaryIO) -> str:
    log.seek(0, 2)
    log.seek(max(0, log.tell() - 2000))
    return log.read().decode(errors="replace").strip()
