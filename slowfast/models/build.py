"""From a config to a model."""

from fvcore.common.config import CfgNode

from slowfast.models.registry import MODEL_REGISTRY, VideoModel


def build_model(cfg: CfgNode) -> VideoModel:
    """Build the model that ``MODEL.MODEL_NAME`` names, on the CPU, initialised at random.

    No file is read: loading weights is a step of its own (``slowfast.models.weights.load``).

    Args:
        cfg: the whole config.

    Returns:
        A module that takes float clips (N, C, T, H, W) and returns logits (N, K), K = ``MODEL.NUM_CLASSES``.

    Raises:
        UserError: if no model has that name.
    """
    return MODEL_REGISTRY.build(cfg, "MODEL.MODEL_NAME", cfg.MODEL.MODEL_NAME)
