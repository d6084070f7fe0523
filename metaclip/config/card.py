"""The part of the configuration for the data card: what no stage can know."""

import re

from pydantic import Field, field_validator

from metaclip.config.base import Model


class CardSource(Model):
    """A place that the pairs, or the entries, come from."""

    name: str = Field(min_length=1)
    """What it is called, such as `DataComp small`."""
    licence: str | None = None
    """The licence or the terms that it is under."""
    address: str | None = None
    """Where it is described."""

    @field_validator("name", "licence", "address")
    @classmethod
    def _is_one_line(cls, text: str | None) -> str | None:
        return one_line(text)


def one_line(text: str | None) -> str | None:
    """Return a text of one printable line.

    Raises:
        ValueError: for any other.
    """
    if text is not None and not (text.isprintable() and text.strip()):
        raise ValueError("must be one line of text")
    return text


class Card(Model):
    """Contents of the set's data card that the pipeline cannot know."""

    title: str = Field(default="Image-text pairs balanced by metadata", min_length=1, max_length=200)
    """The set's title."""
    contact: str | None = None
    """Contact of people who want an image or a text removed: an e-mail or web address."""
    licence: str = Field(default="other", min_length=1)
    """Licence of the list of pairs, in Hugging Face's abbreviation; texts belong to their authors."""
    address: str | None = None
    """Address where the set is published, such as https://huggingface.co/datasets/me/pairs."""
    sources: list[CardSource] = Field(default=[])
    """Where the pairs and the entries come from, as far as you know more than the run does: each has a `name`, and
    may have a `licence` and an `address`."""
    published: str | None = None
    """Date of publication, such as 2026-03-31."""

    @field_validator("title", "contact", "licence", "address")
    @classmethod
    def _one_line(cls, text: str | None) -> str | None:
        return one_line(text)

    @field_validator("published")
    @classmethod
    def _day(cls, day: str | None) -> str | None:
        if day is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
            raise ValueError("must be a day such as 2026-03-31")
        return day
