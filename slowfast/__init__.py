"""UniFormer and UniFormerV2 for video classification: config -> datasets -> models -> engine -> evaluation.

>>> import slowfast
>>> model = slowfast.create_model("uniformerv2_b16", num_classes=10, num_frames=16)

What this module offers is imported when it is first asked for: importing a part of the package imports no other.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "create_model": "slowfast.models.create",
    "list_models": "slowfast.models.create",
    "load_model": "slowfast.inference",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
