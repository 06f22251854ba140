"""UniFormerV2 (arXiv 2211.09552): an image ViT armed with local and global UniBlocks.

Parameter names are those of the published checkpoints.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.config.uniformerv2 import ViTSize, vit_size, why_no_whole_patches
from slowfast.models.activation_checkpoint import checkpointed
from slowfast.models.depthwise import DepthwiseConv3d
from slowfast.models.layers import linear_drop_path_rates
from slowfast.models.registry import MODEL_REGISTRY, VideoModel
from slowfast.models.uniformerv2_blocks import GlobalUniBlock, LocalUniBlock, add_to_patches, patch_volume
from slowfast.models.vit_style import CLIP_STYLE, ViTStyle
from slowfast.models.weights.uniformerv2 import UNIFORMERV2_WEIGHTS


class Transformer(nn.Module):
    """ViT blocks, and the global UniBlocks that read their tokens into one video token.

    Args:
        size: width, depth and heads of the ViT.
        num_classes: K.
        return_list: 0-based ViT layers after which a global UniBlock reads, in increasing order.
        num_heads: heads of the global UniBlocks.
        mlp_factor: hidden width of their feed-forward networks over C.
        mlp_dropout: their dropout, one rate per block.
        drop_path: stochastic-depth rate of the last global UniBlock (it grows linearly from 0).
        backbone_drop_path: the same for the ViT blocks.
        drop_path_style: what is dropped at once: see TOKEN_DROP_AXIS and VIDEO_TOKEN_DROP_AXIS.
        cls_dropout: dropout before the classifier.
        has_temporal, is_double_temporal, temporal_reduction: see LocalUniBlock.
        is_frozen: without the fusion of the ViT's class tokens (the ``balance`` parameter).
        num_checkpointed: leading ViT blocks whose activations are recomputed in the backward pass.
        style: activation and LayerNorm epsilon of the ViT blocks; the global UniBlocks keep CLIP's.
    """

    def __init__(
        self,
        size: ViTSize,
        *,
        num_classes: int,
        return_list: Sequence[int],
        num_heads: int,
        mlp_factor: float = 4.0,
        mlp_dropout: Sequence[float],
        drop_path: float = 0.0,
        backbone_drop_path: float = 0.0,
        drop_path_style: str = "video",
        cls_dropout: float = 0.5,
        has_temporal: bool = False,
        is_double_temporal: bool = True,
        temporal_reduction: float = 1.5,
        is_frozen: bool = False,
        num_checkpointed: int = 0,
        style: ViTStyle = CLIP_STYLE,
    ) -> None:
        super().__init__()
        dim = size.width
        self.return_list = list(return_list)
        self.num_checkpointed = num_checkpointed
        self.temporal_cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.balance = None if is_frozen else nn.Parameter(torch.zeros(dim))
        self.resblocks = nn.ModuleList(
            LocalUniBlock(
                dim,
                size.num_heads,
                drop_path=rate,
                drop_path_style=drop_path_style,
                has_temporal=has_temporal,
                is_double_temporal=is_double_temporal,
                temporal_reduction=temporal_reduction,
                style=style,
            )
            for rate in linear_drop_path_rates(backbone_drop_path, size.num_layers)
        )
        self.dpe = nn.ModuleList(DepthwiseConv3d(dim, 3) for _ in return_list)
        self.dec = nn.ModuleList(
            GlobalUniBlock(
                dim,
                num_heads,
                mlp_factor=mlp_factor,
                dropout=dropout,
                drop_path=rate,
                drop_path_style=drop_path_style,
            )
            for dropout, rate in zip(mlp_dropout, linear_drop_path_rates(drop_path, len(self.return_list)), strict=True)
        )
        self.proj = nn.Sequential(nn.LayerNorm(dim), nn.Dropout(cls_dropout), nn.Linear(dim, num_classes))
        for conv in self.dpe:
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: tokens (N, T, L, C); returns the video token (N, C), fused with the ViT's class tokens."""
        video_token = self.temporal_cls_token.expand(x.shape[0], -1, -1)
        global_blocks = iter(zip(self.dpe, self.dec, strict=True))
        for layer_idx, block in enumerate(self.resblocks):
            x = self.run_block(layer_idx, block, x)
            if layer_idx in self.return_list:
                dpe, global_block = next(global_blocks)
                y = add_to_patches(x, dpe(patch_volume(x)))
                video_token = global_block(video_token, y.flatten(1, 2))
        z = video_token.squeeze(1)
        if self.balance is None:
            return z
        share = self.balance.sigmoid()
        return (1 - share) * z + share * x[:, :, 0].mean(1)

    def run_block(self, layer_idx: int, block: nn.Module, x: Tensor) -> Tensor:
        """One ViT block, recomputed in the backward pass if it is one of those; (N, T, L, C), shape kept."""
        recompute = layer_idx < self.num_checkpointed and torch.is_grad_enabled()
        return checkpointed(block, x) if recompute else block(x)


class VisionTransformer(nn.Module):
    """Patch embedding, positional embedding and the transformer.

    Args:
        size: the ViT.
        has_temporal_downsample: halve the frames by a patch embedding of kernel 3 and stride 2 in time.
        transformer: the blocks, of the same style.
        style: whether a LayerNorm precedes them (``ln_pre``), and its epsilon.
    """

    def __init__(
        self,
        size: ViTSize,
        *,
        has_temporal_downsample: bool,
        transformer: Transformer,
        style: ViTStyle = CLIP_STYLE,
    ) -> None:
        super().__init__()
        self.style = style
        patch = size.patch_size_px
        self.patch_size_px = patch
        scale = size.width**-0.5
        grid = size.native_size_px // patch
        self.class_embedding = nn.Parameter(scale * torch.randn(size.width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(grid**2 + 1, size.width))
        self.conv1 = nn.Conv3d(
            3,
            size.width,
            kernel_size=(3 if has_temporal_downsample else 1, patch, patch),
            stride=(2 if has_temporal_downsample else 1, patch, patch),
            padding=(1 if has_temporal_downsample else 0, 0, 0),
            bias=False,
        )
        self.ln_pre = nn.LayerNorm(size.width, eps=style.norm_eps) if style.has_pre_norm else nn.Identity()
        self.transformer = transformer

    def positions(self, grid: int) -> Tensor:
        """Positional embedding for a grid x grid frame: (1 + grid^2, C), bicubic if the native grid is another."""
        native = round((self.positional_embedding.shape[0] - 1) ** 0.5)
        if grid == native:
            return self.positional_embedding
        cls, patches = self.positional_embedding[:1], self.positional_embedding[1:]
        image = patches.T.reshape(1, -1, native, native)
        image = F.interpolate(image, size=(grid, grid), mode="bicubic", align_corners=False)
        return torch.cat([cls, image.flatten(2).squeeze(0).T])

    def embed(self, clips: Tensor) -> Tensor:
        """clips: float (N, 3, T, H, W), H = W; returns tokens (N, T, L, C) for the first block.

        Raises:
            ValueError: for clips that are not square, or of a side that is no multiple of the patch size.
        """
        height, width = clips.shape[-2:]
        keys = "(DATA.TRAIN_CROP_SIZE, DATA.TEST_CROP_SIZE)"
        if height != width:
            raise ValueError(f"clips are {height} x {width} px; accepted: square frames {keys}")
        if problem := why_no_whole_patches(height, self.patch_size_px):
            raise ValueError(f"the side of clips is {problem} {keys}")
        x = self.conv1(clips).flatten(3).permute(0, 2, 3, 1)  # (N, T, H * W, C)
        cls = self.class_embedding.to(x.dtype).expand(*x.shape[:2], 1, -1)
        x = torch.cat([cls, x], dim=2) + self.positions(height // self.patch_size_px)
        return self.ln_pre(x)

    def forward(self, clips: Tensor) -> Tensor:
        """clips: as for ``embed``; returns the fused video token (N, C)."""
        return self.transformer(self.embed(clips))


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
