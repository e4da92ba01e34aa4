"""The model that every part of a configuration derives from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class AbstractModel(BaseModel):
    """A frozen piece of configuration that knows all of its keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
