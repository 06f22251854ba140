"""Optional packages: imported where they are used, or one line that says how to install them."""

import importlib
from types import ModuleType

from slowfast.errors import UserError
from slowfast.runtime.distribution import DISTRIBUTION


def import_extra(name: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a package that only some of the functions need.

    Args:
        name: of the module, such as onnxruntime.
        extra: of pyproject.toml that brings it, such as export.
        purpose: what needs it, for the message, such as "uniformer export --to onnx".

    Raises:
        UserError: if it is not installed, or does not load; one line that names the extra.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{purpose} needs the package {name}, which cannot be imported ({reason}); "
            f"pip install '{DISTRIBUTION}[{extra}]'"
        ) from error
