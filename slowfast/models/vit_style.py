"""How image ViTs differ beyond their sizes: what an image pretraining fixes and no shape of a weight shows."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from slowfast.models.layers import QuickGELU


class ViTStyle(NamedTuple):
    """The function that a ViT's weights were trained for.

    Attributes:
        activation: quick_gelu or gelu. "" computes quick_gelu without vouching for it: weights that do not tell their
            own activation are then refused.
        has_pre_norm: whether a LayerNorm precedes the first block, as in CLIP.
        norm_eps: epsilon of the ViT's LayerNorms.
    """

    activation: str | None = "quick_gelu"
    has_pre_norm: bool = True
    norm_eps: float = 1e-5

    def activation_layer(self) -> Callable[[], nn.Module]:
        """The class of the activation."""
        return {"": QuickGELU, "quick_gelu": QuickGELU, "gelu": nn.GELU}[self.activation]


CLIP_STYLE = ViTStyle()
PLAIN_STYLE = ViTStyle("gelu", has_pre_norm=False, norm_eps=1e-6)  # supervised ViT, DeiT, DINO, MAE
