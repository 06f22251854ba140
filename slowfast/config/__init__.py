"""The config tree and the one way to load it: ``load_config`` (or ``load_config_or_exit`` in a tool)."""

from slowfast.config import uniformer, uniformerv2  # noqa: F401  (register their sections)
from slowfast.config.command_line import add_config_arguments, load_config_or_exit
from slowfast.config.defaults import get_cfg
from slowfast.config.load import load_config
from slowfast.config.validate import validate

__all__ = ["add_config_arguments", "get_cfg", "load_config", "load_config_or_exit", "validate"]
