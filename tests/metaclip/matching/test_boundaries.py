"""The rules `unicode`, `characters` and `words`: the definition, and the fast way that equals it."""

import gzip
import random
import tracemalloc
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.errors import StoreError
from metaclip.kernels.jit import plainly
from metaclip.matching.boundaries import NO_COST, TokenRule, match_tokens_by_definition, tokens, word_bounds
from metaclip.matching.matcher import Matcher
from tests.shared import shared_data

RULES: tuple[TokenRule, ...] = get_args(TokenRule)

ODD = "ab C中京都カメラ、。'-+#1月\u200b\u00a0\u0301ที่การเدབོད་ཀ་ན་က\u1039ကွ\u17d2កេຫໍ້\ud800\udfff\U000e1234\ufe0f❤é👍"
"""Characters of every kind, lone surrogates and unassigned ones among them."""


def fast(
    entries: Sequence[str], texts: Sequence[str], rule: TokenRule, costs: npt.NDArray[np.uint16] | None = None
) -> list[list[int]]:
    offsets, ids = Matcher(entries, rule, costs).match(texts)
    return [ids[start:end].tolist() for start, end in pairwise(offsets)]


def cut(texts: Sequence[str], n: int, longest: int, seed: int) -> list[str]:
    """Cut random entries out of texts."""
    choose = random.Random(seed)
    found = set()
    for _ in range(n):
        text = choose.choice(texts)
        start = choose.randrange(len(text) + 1)
        found.add(text[start : start + choose.randrange(1, longest)])
    return sorted(found)


def random_costs(n: int, seed: int) -> npt.NDArray[np.uint16]:
    drawn = np.random.default_rng(seed).choice([NO_COST, 0, 150, 300, 300, 550, 900], n)
    return drawn.astype(np.uint16)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("การเดินทางที่", "กา|ร|เดิ|น|ทา|ง|ที่"),
        ("iPhone手机，1月", "iPhone|手|机|，|1|月"),
        ("བོད་སྐད།", "བོད|་|སྐད|།"),
        ("ကမ္ဘာ", "က|မ္ဘ|ာ".replace("|ာ", "ာ")),
        ("ខ្មែរ", "ខ្មែ|រ"),
        ("ລາວ", "ລາ|ວ"),
        ("カメラ", "カ|メ|ラ"),
        ("か\u3099き", "か\u3099|き"),
        ("l'homme", "l|'|homme"),
        ("C++11", "C|+|+|11"),
        ("e\u0301a b", "e\u0301a|b"),
        ("", ""),
    ],
)
def test_tokens(text: str, expected: str) -> None:
    assert "|".join(token.text for token in tokens(text, "characters")) == expected


def test_a_space_is_one_that_the_entry_must_have() -> None:
    entries = ["人工智能", "人工 智能", "new york"]
    texts = ["人工 智能", "人工智能", "人工\u3000智能", "new  york", "new\u200byork", "newyork"]
    for rule in ("characters", "words"):
        assert match_tokens_by_definition(entries, texts, rule) == [[1], [0], [1], [2], [2], []]


def test_words_are_the_cheapest_segmentation() -> None:
    found = tokens("东京都的夜景", "words")

    def key(text: str) -> tuple[object, ...]:
        return tuple(tokens(text, "words"))

    costs = {key("东京"): 400, key("京都"): 420, key("东京都"): 500, key("都"): 200, key("的"): 100, key("夜景"): 450}
    assert sorted(word_bounds(found, costs)) == [0, 3, 4, 6]  # type: ignore[arg-type]
    costs[key("东京都")] = 600
    # 东京|都 costs as much as 东京都: the earlier start wins.
    assert sorted(word_bounds(found, costs)) == [0, 3, 4, 6]  # type: ignore[arg-type]
    costs[key("东京都")] = 601
    assert sorted(word_bounds(found, costs)) == [0, 2, 3, 4, 6]  # type: ignore[arg-type]


def test_an_entry_without_a_count_matches_between_bounds() -> None:
    entries = ["东京都的夜景", "京都的", "东京都", "夜景"]
    costs = np.array([NO_COST, NO_COST, 500, 450], np.uint16)
    assert match_tokens_by_definition(entries, ["东京都的夜景"], "words", costs) == [[0, 2, 3]]
    assert fast(entries, ["东京都的夜景"], "words", costs) == [[0, 2, 3]]


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=150)
@given(data=st.data())
def test_the_matcher_equals_the_definition(rule: TokenRule, data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text(st.sampled_from(ODD), max_size=25), min_size=1, max_size=6))
    entries = data.draw(st.lists(st.text(st.sampled_from(ODD), max_size=5), max_size=12, unique=True))
    entries = list(dict.fromkeys([*entries, *cut(texts, 6, 6, len(entries))]))
    costs = random_costs(len(entries), len(texts)) if data.draw(st.booleans()) else None
    assert fast(entries, texts, rule, costs) == match_tokens_by_definition(entries, texts, rule, costs)


@pytest.mark.parametrize("rule", RULES)
def test_any_unicode(rule: TokenRule) -> None:
    choose = random.Random(3)
    texts = ["".join(chr(choose.randrange(0x110000)) for _ in range(30)) for _ in range(200)]
    texts += ["".join(chr(choose.randrange(0x0E00, 0x1800)) for _ in range(30)) for _ in range(200)]
    entries = cut(texts, 1500, 4, 5)
    costs = random_costs(len(entries), 1)
    assert fast(entries, texts, rule, costs) == match_tokens_by_definition(entries, texts, rule, costs)


@pytest.mark.slow
@pytest.mark.parametrize("character", ["a", "中", "!", "\u200b", "\ud800"])
def test_a_megabyte_of_one_character(character: str) -> None:
    text = character * (1_000_000 // len(character.encode("utf-8", "surrogatepass")))
    entries = [character, character * 3, character * 40, "x"]
    costs = np.array([100, 250, NO_COST, 5], np.uint16)
    tracemalloc.start()
    for rule in RULES:
        [found] = fast(entries, [text], rule, costs)
        # White space is no token, and a run is one; a cluster is one each, and three of them are the cheapest word.
        assert found in ([], [0], [0, 1], [0, 1, 2], [1])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300 << 20


def test_long_tokens_are_compared_byte_by_byte() -> None:
    entries = ["x" * 100, "x" * 99 + "y", "é" * 40]
    texts = [f"a {'x' * 99}y 中{'é' * 40}中", "x" * 101]
    assert fast(entries, texts, "characters") == [[1, 2], []]


def test_short_texts_are_walked_together_and_nothing_goes_from_one_to_the_next() -> None:
    """More texts than are walked together, by number and by bytes, empty ones and long ones among them."""
    choose = random.Random(12)
    sizes = (0, 0, 1, 1, 2, 3, 5, 9, 20)
    texts = ["".join(choose.choices("中国人กรี่aé!,  -", k=choose.choice(sizes))) for _ in range(900)]
    texts[20:40] = ["中", "国"] * 10
    texts[300] = texts[301] = "中国" * 3000
    texts[-3:] = ["", " ", ""]
    entries = sorted({"中", "国", "中国", "国中国", "人", *cut([text for text in texts if text], 150, 5, 3)} - {""})
    costs = random_costs(len(entries), 6)
    for rule in RULES:
        expected = match_tokens_by_definition(entries, texts, rule, costs)
        assert fast(entries, texts, rule, costs) == expected
        assert fast(entries, texts[:299], rule, costs) == expected[:299]


def test_short_texts_with_more_matches_than_there_is_room_for() -> None:
    entries = ["!" * size for size in range(1, 13)]
    texts = ["", *["!" * 40] * 300, "!" * 5]
    assert fast(entries, texts, "characters") == [[], *[list(range(12))] * 300, list(range(5))]


def test_keys_that_stand_at_other_slots_than_their_first() -> None:
    """A small table is as full as one may be, so runs of keys go around its end."""
    around = 0
    for first in range(0x4E00, 0x4E00 + 38 * 60, 38):
        entries = [chr(first + k) for k in range(37)] + ["a token of more than sixteen bytes"]
        matcher = Matcher(entries, "characters")
        around += bool(matcher._slots[0, 3] and matcher._slots[-1, 3])
        texts = [*entries, chr(first + 37), " ".join(entries), "a token of more than sixteen bytez"]
        offsets, ids = matcher.match(texts)
        found = [ids[start:end].tolist() for start, end in pairwise(offsets)]
        assert found == [*([k] for k in range(38)), [], list(range(38)), []]
    assert around > 5


def test_a_table_is_found_again(tmp_path: Path) -> None:
    entries, costs = ["东京都", "京都", "东"], np.array([100, 100, NO_COST], np.uint16)
    path = tmp_path / "matcher.bin"
    Matcher(entries, "words", costs).save(path)
    loaded = Matcher.load(path, costs=costs)
    assert loaded.rule == "words"
    assert loaded.match(["东京都", "东 京都"])[1].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="2 costs for 3 entries"):
        Matcher.load(path, costs=costs[:2])
    assert Matcher.load(path).match(["东京都"])[1].tolist() == [0, 1, 2]
    data = bytearray(path.read_bytes())
    data[88] = 9  # the number of the rule
    path.write_bytes(data)
    with pytest.raises(StoreError, match="format 2"):
        Matcher.load(path)


def test_the_table_of_the_papers_rule_has_the_bytes_it_had(tmp_path: Path) -> None:
    Matcher(["dog", "st. louis"]).save(tmp_path / "matcher.bin")
    head = (tmp_path / "matcher.bin").read_bytes()[:128]
    assert head[16:24] == (1).to_bytes(8, "little")
    assert not any(head[96:])


def _real_texts() -> list[tuple[str, list[str]]]:
    captions = [("zh", "coco_cn_zh"), ("fr", "multi30k_fr"), ("de", "multi30k_de"), ("cs", "multi30k_cs")]
    found = []
    for name, file in captions:
        path = shared_data("worldwide", "captions", f"{file}.txt.gz")
        found.append((name, gzip.decompress(path.read_bytes()).decode().splitlines()[:1500]))
    path = shared_data("worldwide", "titles", "wikipedia_titles_th_100k.txt.gz")
    found.append(("th", gzip.decompress(path.read_bytes()).decode().splitlines()[:1500]))
    with zipfile.ZipFile(shared_data("worldwide", "udhr", "udhr_first_half.zip")) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        texts = [archive.read(name).decode("utf-8", "replace") for name in names]
    found.append(("udhr", [line for text in texts for line in text.splitlines()[:6] if line.strip()]))
    return found


@pytest.mark.long
@pytest.mark.slow
def test_real_texts() -> None:
    for name, texts in _real_texts():
        entries = random.Random(1).sample(cut(texts, 32_000, 14, 7), 10_000)
        costs = random_costs(len(entries), 2)
        for rule in RULES:
            expected = match_tokens_by_definition(entries, texts, rule, costs)
            assert fast(entries, texts, rule, costs) == expected, name
            assert sum(map(len, expected)) > 20


@pytest.mark.parametrize("rule", RULES)
def test_kernels_that_python_runs_give_the_same(rule: TokenRule) -> None:
    choose = random.Random(8)
    texts = ["".join(choose.choices(ODD, k=choose.randrange(30))) for _ in range(60)]
    entries = cut(texts, 80, 5, 2)
    costs = random_costs(len(entries), 4) if rule == "words" else None
    with plainly():
        plainly_done = fast(entries, texts, rule, costs)
    assert plainly_done == fast(entries, texts, rule, costs)
