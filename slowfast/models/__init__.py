"""UniFormer, its lightweight models, and UniFormerV2."""

from slowfast.models import uniformer, uniformer_light, uniformerv2  # noqa: F401  (register the models)
from slowfast.models.build import build_model
from slowfast.models.reference import use_reference
from slowfast.models.registry import MODEL_REGISTRY, VideoModel, logits_of_heads

__all__ = ["MODEL_REGISTRY", "VideoModel", "build_model", "logits_of_heads", "use_reference"]
