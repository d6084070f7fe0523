"""Commands that people are told, as they can be pasted into a shell."""

import shlex


def command(*words: str) -> str:
    r"""Return a command whose words mean the same to a shell, whatever they contain.

    The result is printable: what is not is written as bash and zsh read it, `$'\x1b'`.
    """
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))
