"""Names of the artifacts that runs show in the Prefect UI."""


def artifact_key(pool: str, name: str) -> str:
    """Return the key of an artifact that all runs of a pool share: lower-case letters, digits, dashes."""
    letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in pool.lower())
    return f"{''.join(letters).strip('-')}-{name}"
