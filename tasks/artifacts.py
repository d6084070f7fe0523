"""Names of what runs show in the Prefect UI."""


def artifact_key(pool: str, name: str) -> str:
    """Return the key under which all runs of a pool show the same thing: small letters, digits, dashes."""
    letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in pool.lower())
    return f"{''.join(letters).strip('-')}-{name}"
