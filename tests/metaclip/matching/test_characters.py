"""The kinds of characters: the shipped file is what Unicode's database gives."""

import unicodedata

import numpy as np

from metaclip.matching.characters import BASE, CODES, MARK, OTHER, SPACE, character_kinds, kind_of

BLOCKS = (range(0x3100), range(0x3100, 0xFFFF, 7), range(0xFE00, 0x10000), range(0x10000, CODES, 97))


def test_the_file_holds_what_unicode_says() -> None:
    kinds = character_kinds()
    for code in (code for block in BLOCKS for code in block):
        # A later Python knows more characters; on those of the file both agree.
        if unicodedata.category(chr(code)) != "Cn" and kinds[code] == OTHER != kind_of(code):
            assert unicodedata.unidata_version != "14.0.0", hex(code)
        elif unicodedata.category(chr(code)) != "Cn":
            assert kinds[code] == kind_of(code), hex(code)


def test_every_script_without_spaces_has_its_letters() -> None:
    kinds = character_kinds()
    for character in "中々〇あアーｱㄅกວကក":
        assert kinds[ord(character)] == BASE, character
    for character in "。、！「」，…'’-$€፡·":
        assert kinds[ord(character)] == MARK, character
    for character in " \u00a0\u3000\u200b\n":
        assert kinds[ord(character)] == SPACE, character


def test_without_scripts_there_are_spaces_marks_and_others() -> None:
    assert set(np.unique(character_kinds(scripts=False)).tolist()) == {OTHER, SPACE, MARK}
