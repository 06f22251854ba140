"""UniFormer and UniFormerV2."""

from slowfast.models import uniformerv2  # noqa: F401  (registers the model)
from slowfast.models.build import build_model

__all__ = ["build_model"]
