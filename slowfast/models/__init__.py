"""UniFormer and UniFormerV2."""

from slowfast.models import uniformer, uniformerv2  # noqa: F401  (registers the models)
from slowfast.models.build import build_model

__all__ = ["build_model"]
