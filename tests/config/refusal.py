"""How a config is refused."""

import pytest

from slowfast.config import load_config
from slowfast.errors import UserError


def refusal(*arguments, **keywords: bool) -> str:
    """The message with which ``load_config`` refuses its arguments: one line."""
    with pytest.raises(UserError) as error:
        load_config(*arguments, **keywords)
    assert "\n" not in str(error.value)
    return str(error.value)
