"""The registry that `MODEL.MODEL_NAME` is looked up in."""

from fvcore.common.registry import Registry

MODEL_REGISTRY = Registry("MODEL")
MODEL_REGISTRY.__doc__ = """
Video classifiers by name. A registered class is an ``nn.Module`` with

- a classmethod ``from_config(cfg)`` that reads what it needs of the frozen config and returns the module on the CPU,
  initialised at random;
- ``forward(clips)``: float (N, C, T, H, W), normalised, to logits (N, K).
"""
