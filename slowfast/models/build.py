"""From a config to a model."""

from fvcore.common.config import CfgNode
from torch import nn

from slowfast.models.registry import MODEL_REGISTRY


def build_model(cfg: CfgNode) -> nn.Module:
    """Build the model that ``MODEL.MODEL_NAME`` names, on the CPU, initialised at random.

    No file is read: loading weights is a step of its own (``slowfast.models.weights.load``).

    Args:
        cfg: the whole config.

    Returns:
        A module that takes float clips (N, C, T, H, W) and returns logits (N, K), K = ``MODEL.NUM_CLASSES``.

    Raises:
        ValueError: if no model has that name.
    """
    name = cfg.MODEL.MODEL_NAME
    if name not in MODEL_REGISTRY:
        known = ", ".join(sorted(key for key, _ in MODEL_REGISTRY))
        raise ValueError(f"MODEL.MODEL_NAME {name!r} is not a model; accepted: {known}")
    return MODEL_REGISTRY.get(name).from_config(cfg)
