"""Entry points for torch.hub.

>>> import torch
>>> model = torch.hub.load("path/to/checkout", "load_model", "model folder", source="local")
"""

from slowfast import create_model, list_models, load_model

dependencies = ["torch", "torchvision", "fvcore", "iopath", "av", "timm", "safetensors"]

__all__ = ["create_model", "list_models", "load_model"]
