"""What the JSON API's files share: texts as they are taken in, answers, errors."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from admin_api.forms import tidy
from policy.rules import instant

type Text = Annotated[str, Field(max_length=2000), AfterValidator(tidy)]
type Json = Mapping[str, Any]
CLOSED = ConfigDict(extra="forbid")


class Error(BaseModel):
    """What went wrong, in one plain sentence."""

    error: str


ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Error} for status in (400, 401, 403, 404, 409, 413, 422, 429)}


def when(moment_: datetime | None) -> str | None:
    return instant(moment_) if moment_ else None
