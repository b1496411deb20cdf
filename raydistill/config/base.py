"""The base of all configurations: immutable, validated, without unknown fields, JSON in and out."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FrozenConfig(BaseModel):
    """A validated, immutable node of a configuration tree.

    Unknown fields, values out of range, NaN and infinity are refused when it is made.

    Example:
        >>> from pydantic import Field
        >>> from raydistill.config.base import FrozenConfig
        >>> class Size(FrozenConfig):
        ...     width: int = Field(default=8, ge=1)
        >>> Size(width=16).model_dump_json()
        '{"width":16}'
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )
