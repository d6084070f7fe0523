"""Language identification with fastText's lid.176 model: one label and one score for each text."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from metaclip.errors import ConfigError, OtherModelError
from metaclip.kernels.jit import plain
from metaclip.kernels.utf8 import chunks, encode

if TYPE_CHECKING:
    from metaclip.language.fasttext_model import LidModel
from metaclip.language.model_file import _WAY_OUT

logger = logging.getLogger(__name__)


class LanguageIdentifier:
    """The model in memory (4 MB for lid.176.ftz, 130 MB for lid.176.bin).

    Gives what `ftlangdetect.detect` of fasttext-langdetect gives for texts whose white space is
    collapsed, as all texts of this project are. A file of lid.176.ftz's shape is read into the
    compiled kernel (`metaclip.language.kernel`), which gives fastText's labels and scores to the bit;
    for any other model fastText itself is asked, some ten times as slowly, which is logged. Not to be
    pickled: each process loads its own.

    Raises:
        ConfigError: where the file is no fastText model.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engines: dict[bool, _Kernel | _Binding] = {}
        """By whether it is for the plain way; loaded when first needed."""
        self._engine()

    def _engine(self) -> "_Kernel | _Binding":
        way = plain()
        if way not in self._engines:
            self._engines[way] = _Binding(self._path) if way else self._fastest()
        return self._engines[way]

    def _fastest(self) -> "_Kernel | _Binding":
        # Imported here and below, so that reading a configuration does not load fastText.
        from metaclip.language.fasttext_model import read_model

        try:
            return _Kernel(read_model(self._path))
        except (OtherModelError, OSError) as error:
            logger.warning("languages are identified by fastText itself, which is slower: %s", error)
            return self._engines.get(True) or _Binding(self._path)

    def identify(self, texts: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
        """Label texts; each distinct text is looked at once.

        Args:
            texts: n texts without line ends (text after one is not looked at).

        Returns:
            n labels of LABELS, and float32[n] scores between 0 and 1. An empty text gets the
            model's prior, `en` with a score near 0.12.

        Raises:
            TypeError: for anything but a sequence of `str`.
        """
        data, offsets = encode(texts, "texts")
        array = pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(data))
        labels, scores = self.identify_array(array)
        return labels.to_pylist(), scores

    def identify_array(self, texts: pa.Array | pa.ChunkedArray) -> tuple[pa.DictionaryArray, NDArray[np.float32]]:
        """Label texts in Arrow, without a Python object for any of them.

        Args:
            texts: n texts of type string, large_string, binary or large_binary, as for `identify`;
                the last two need not be UTF-8.

        Returns:
            n labels as a dictionary of strings with int16 indices, and float32[n] scores.

        Raises:
            TypeError: for other types.
            ValueError: where a text is null.
        """
        engine = self._engine()
        all_ids, all_scores = [np.zeros(0, np.int16)], [np.zeros(0, np.float32)]
        for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
            # Bytes are taken for strings as they are; Arrow does not look into them here.
            if pa.types.is_binary(chunk.type) or pa.types.is_large_binary(chunk.type):
                chunk = chunk.view(pa.string() if pa.types.is_binary(chunk.type) else pa.large_string())
            if chunk.null_count:
                raise ValueError(f"texts: {chunk.null_count} are null; leave them out or fill them first")
            # Hashing a text takes a thirtieth of labelling it, and a third of a crawl's texts repeat.
            distinct = chunk.dictionary_encode()
            places = distinct.indices.to_numpy()
            for data, offsets in chunks(distinct.dictionary):
                ids, scores = engine.identify(data, offsets)
                all_ids.append(ids[places])
                all_scores.append(scores[places])
        names = pa.array(engine.labels, pa.string())
        labels = pa.DictionaryArray.from_arrays(pa.array(np.concatenate(all_ids)), names)
        # The softmax of the model adds up to a little more than 1.
        return labels, np.minimum(np.concatenate(all_scores), np.float32(1.0))


class _Kernel:
    """The compiled kernel."""

    def __init__(self, model: "LidModel") -> None:
        self.labels = list(model.labels)
        self._tables = model.tables

    def identify(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Return each text's label, a number into `labels`, and its score, which may exceed 1."""
        from metaclip.language.kernel import identify

        labels, scores = identify(data, offsets, self._tables)
        return labels.astype(np.int16), scores


class _Binding:
    """FastText's own prediction, for models that the kernel does not know."""

    def __init__(self, path: Path) -> None:
        try:
            import fasttext
        except ImportError as error:
            raise ConfigError(
                f"{path} is a model that only fastText itself can use, which is not installed: pip install"
                f" fasttext-predict (on Python 3.14 it needs a C++ compiler), or {_WAY_OUT}"
            ) from error

        self.labels: list[str] = []
        """Those met so far."""
        self._numbers: dict[str, int] = {}
        try:
            # The binding itself: Python wrappers differ between the packages that provide it.
            self._predict = fasttext.load_model(str(path)).f.predict
        except (ValueError, RuntimeError, MemoryError) as error:
            raise ConfigError(f"{path} is not a fastText model ({error}); {_WAY_OUT}") from error

    def identify(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """As `_Kernel.identify`."""
        labels, scores = np.empty(len(offsets) - 1, np.int16), np.empty(len(offsets) - 1, np.float32)
        for index, (start, end) in enumerate(pairwise(offsets.tolist())):
            score, label = self._predict(data[start:end].tobytes() + b"\n", 1, 0.0, "strict")[0]
            if label not in self._numbers:
                self._numbers[label] = len(self.labels)
                self.labels.append(label.removeprefix("__label__"))
            labels[index], scores[index] = self._numbers[label], score
        return labels, scores
