"""The base class of all parts of the configuration."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from metaclip.io.addresses.credentials import hide

Address = Annotated[str, AfterValidator(hide)]
"""A path or an address, without the credentials that it was given with."""


class Model(BaseModel):
    """Base model: frozen, refuses unknown keys, and uses the docstrings of fields as their descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
