"""The base class of all parts of the configuration."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base model: frozen, refuses unknown keys, and uses the docstrings of fields as their descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
