"""Measure which labels texts of known languages get: `python -m bench.language_quality` prints a table in Markdown.

The texts are the lines of 25 bytes or more (headings left out) of the Universal Declaration of Human Rights in the
shared data, at most 40 of each language, labelled with lid.176.ftz as the extract stage does.
"""

import sys
import zipfile
from collections import Counter

from bench.timing import SHARED
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model

LINES = 40
LEAST_BYTES = 25

_FILES = """
af:afr als:- am:amh ar:arb ast:ast az:azj_latn az:azj_cyrl be:bel bg:bul bn:ben bo:bod br:bre bs:bos_latn
bs:bos_cyrl ca:cat ceb:ceb ckb:ckb co:cos cs:ces cy:cym da:dan de:deu dv:div el:ell_monotonic eml:eml en:eng eo:epo
es:spa et:est eu:eus fa:pes_1 fi:fin fr:fra ga:gle gd:gla gl:glg gu:guj he:heb hi:hin hr:hrv hsb:hsb hu:hun hy:hye
ia:ina
id:ind ilo:ilo io:ido is:isl it:ita ja:jpn jv:jav ka:kat kk:kaz km:khm kn:kan ko:kor ky:kir la:lat lb:ltz lo:lao lt:lit
lv:lav mai:mai mg:plt min:min mk:mkd ml:mal mn:khk mr:mar ms:mly_latn mt:mlt my:mya nds:nds ne:nep nl:nld nn:nno no:nob
os:oss pa:pan pam:pam pl:pol pnb:pnb pt:por_PT pt:por_BR qu:quz rm:roh ro:ron ru:rus sa:san sah:sah sc:src sco:sco si:-
sk:slk sl:slv so:som sq:als sr:srp_cyrl sr:srp_latn su:sun sv:swe sw:swh ta:tam tg:tgk th:tha tk:tuk_latn tl:tgl tr:tur
tt:tat tyv:tyv ug:uig_arab uk:ukr ur:urd uz:uzn_latn vec:vec vep:vep vi:vie wa:wln war:war yi:ydd yo:yor zh:cmn_hans
zh:cmn_hant
"""
"""Label that a text should get, and its file."""


def main() -> None:
    path = SHARED / "worldwide" / "udhr" / "udhr_first_half.zip"
    if not path.exists():
        sys.exit(f"{path} is not here")
    identifier = LanguageIdentifier(find_model(None))
    with zipfile.ZipFile(path) as archive:
        texts = {
            name.rsplit("/", 1)[-1].removesuffix(".txt"): archive.read(name).decode("utf-8", "replace")
            for name in archive.namelist()
        }
    print("| label | text | lines | right | other labels |\n|---|---|---:|---:|---|")
    for pair in _FILES.split():
        label, _, name = pair.partition(":")
        if name not in texts:
            continue
        lines = [" ".join(line.split()) for line in texts[name].splitlines() if len(line.encode()) >= LEAST_BYTES][
            :LINES
        ]
        found = Counter(identifier.identify(lines)[0])
        others = ", ".join(f"{other} {count}" for other, count in found.most_common(4) if other != label)
        print(f"| `{label}` | {name} | {len(lines)} | {found[label]} | {others} |")


if __name__ == "__main__":
    main()
