"""What every CRM's section in config.toml has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class CrmConnection(BaseModel):
    """The base of an adapter's `Connection`.

    Attributes:
        daily_calls_share: Which part of the account's daily API calls is ours, above 0 and up to 1. At its end a run
            stops, keeps what it has read, and the next one goes on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    daily_calls_share: float = Field(default=0.5, gt=0, le=1)
