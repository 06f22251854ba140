"""UniFormerV2 (arXiv 2211.09552): an image ViT armed with local and global UniBlocks.

Parameter names are those of the published checkpoints.
"""

from collections.abc import Sequence

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.config.uniformerv2 import vit_size
from slowfast.models.registry import MODEL_REGISTRY, VideoModel
from slowfast.models.uniformerv2_backbone import Transformer, VisionTransformer
from slowfast.models.uniformerv2_blocks import patch_volume
from slowfast.models.vit_style import ViTStyle
from slowfast.models.weights.uniformerv2 import UNIFORMERV2_WEIGHTS


@MODEL_REGISTRY.register()
class Uniformerv2(VideoModel):
    """UniFormerV2 for video classification.

    Args:
        backbone: the armed ViT.
        is_frozen: train only what is added to the image ViT; no gradient reaches the ViT.
    """

    classifier_names = ("backbone.transformer.proj.2",)
    weights = UNIFORMERV2_WEIGHTS

    def __init__(self, backbone: VisionTransformer, *, is_frozen: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        classifier = backbone.transformer.proj[2]
        self.num_classes, self.num_features = classifier.out_features, classifier.in_features
        self.num_layers = len(backbone.transformer.resblocks)
        self._init_vit()
        if is_frozen:
            self.freeze_backbone()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "Uniformerv2":
        """Build from ``UNIFORMERV2.*``, ``MODEL.NUM_CLASSES`` and the checkpointing keys."""
        keys, size = cfg.UNIFORMERV2, vit_size(cfg)
        style = ViTStyle(keys.ACTIVATION, keys.PRE_NORM, keys.NORM_EPS)
        transformer = Transformer(
            size,
            num_classes=cfg.MODEL.NUM_CLASSES,
            return_list=keys.RETURN_LIST,
            num_heads=keys.N_HEAD,
            mlp_factor=keys.MLP_FACTOR,
            mlp_dropout=keys.MLP_DROPOUT[: len(keys.RETURN_LIST)],  # upstream files list more than there are blocks
            drop_path=keys.DROP_PATH_RATE,
            backbone_drop_path=keys.BACKBONE_DROP_PATH_RATE,
            drop_path_style=keys.DROP_PATH_STYLE,
            cls_dropout=keys.CLS_DROPOUT,
            has_temporal=not keys.NO_LMHRA,
            is_double_temporal=keys.DOUBLE_LMHRA,
            temporal_reduction=keys.DW_REDUCTION,
            is_frozen=keys.FROZEN,
            num_checkpointed=cfg.MODEL.CHECKPOINT_NUM[0] if cfg.MODEL.USE_CHECKPOINT else 0,
            style=style,
        )
        backbone = VisionTransformer(
            size, has_temporal_downsample=keys.TEMPORAL_DOWNSAMPLE, transformer=transformer, style=style
        )
        return cls(backbone, is_frozen=keys.FROZEN)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.backbone.transformer.num_checkpointed = self.num_layers * enable

    def backbone_parameters(self) -> list[nn.Parameter]:
        """What an image ViT brings along: all but the temporal parts and the head."""
        backbone = self.backbone
        modules = [backbone.conv1, backbone.ln_pre]
        for block in backbone.transformer.resblocks:
            modules += [block.attn, block.ln_1, block.mlp, block.ln_2]
        parameters = [backbone.class_embedding, backbone.positional_embedding]
        return parameters + [parameter for module in modules for parameter in module.parameters()]

    def layer_idx(self, name: str) -> int:
        """The layer of a parameter, by its name, as layer-wise learning rates count: 0 to the ViT's blocks + 1.

        0 is the ViT's embedding and i its i-th block, the local temporal attention inside it included. All that reads
        from the blocks (global UniBlocks, their position encoding and token, the head) is the last layer.
        """
        parts = name.removeprefix("backbone.").split(".")
        if parts[:2] == ["transformer", "resblocks"]:
            return 1 + int(parts[2])
        return 1 + self.num_layers if parts[0] == "transformer" else 0

    @torch.no_grad()
    def _init_vit(self) -> None:
        """CLIP's initialisation of the ViT (arXiv 2103.00020), for training without an image pretraining."""
        blocks = self.backbone.transformer.resblocks
        width = self.backbone.class_embedding.shape[0]
        out_std = width**-0.5 * (2 * len(blocks)) ** -0.5
        for block in blocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=out_std)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=out_std)
            nn.init.zeros_(block.mlp.c_fc.bias)
            nn.init.zeros_(block.mlp.c_proj.bias)

    def forward_features(self, clips: Tensor) -> Tensor:
        """clips: float (N, 3, T, H, W), normalised, H = W; returns the fused video token (N, C)."""
        return self.backbone(clips)

    @property
    def has_frame_tokens(self) -> bool:
        """Whether neither the patch embedding nor a block joins frames."""
        has_temporal = any(block.lmhra1 is not None for block in self.backbone.transformer.resblocks)
        return not has_temporal and self.backbone.conv1.kernel_size[0] == 1

    def frame_tokens(self, clips: Tensor) -> tuple[Tensor, ...]:
        """The ViT's tokens (N, T, L, C) in the layers that are read, and its last class tokens (N, T, C)."""
        return self.backbone.transformer.tokens_to_read(self.backbone.embed(clips))

    def forward_tokens(self, tokens: Sequence[Tensor]) -> Tensor:
        """``forward_features`` of the clips of these frames: the fused video token (N, C)."""
        return self.backbone.transformer.forward_tokens(tokens)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Normalise features (N, C), and classify them: logits (N, K)."""
        proj = self.backbone.transformer.proj
        return proj[0](features) if pre_logits else proj(features)

    def forward_intermediates(self, clips: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Outputs (N, C, T, H, W) of ViT blocks: patch tokens, without the class tokens."""
        wanted, transformer = self.layer_indices(layers), self.backbone.transformer
        outputs, x = {}, self.backbone.embed(clips)
        for layer_idx, block in enumerate(transformer.resblocks[: max(wanted, default=-1) + 1]):
            x = transformer.run_block(layer_idx, block, x)
            if layer_idx in wanted:
                outputs[layer_idx] = patch_volume(x)
        return [outputs[layer] for layer in wanted]
