"""What all parts of the configuration have in common."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Frozen, with no unknown keys; docstrings of fields are their descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
