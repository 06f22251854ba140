"""The armed image ViT of UniFormerV2 (arXiv 2211.09552): its blocks, and the global UniBlocks that read from them.

Parameter names are those of the published checkpoints.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.config.uniformerv2 import ViTSize, why_no_whole_patches
from slowfast.models.activation_checkpoint import checkpointed
from slowfast.models.depthwise import DepthwiseConv3d
from slowfast.models.layers import linear_drop_path_rates
from slowfast.models.uniformerv2_blocks import GlobalUniBlock, LocalUniBlock, add_to_patches, patch_volume
from slowfast.models.vit_style import CLIP_STYLE, ViTStyle


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
        video_token = self.first_video_token(x.shape[0])  # len(x) would be a constant to torch.export
        for layer_idx, block in enumerate(self.resblocks):
            x = self.run_block(layer_idx, block, x)
            if layer_idx in self.return_list:
                video_token = self.read(self.return_list.index(layer_idx), video_token, x)
        return self.fuse(video_token, x[:, :, 0])

    def tokens_to_read(self, x: Tensor) -> tuple[Tensor, ...]:
        """x: as for ``forward``; returns what ``forward_tokens`` takes: (N, T, L, C) after each layer that a global
        UniBlock reads, and the class tokens (N, T, C) after the last layer."""
        kept = []
        for layer_idx, block in enumerate(self.resblocks):
            x = self.run_block(layer_idx, block, x)
            if layer_idx in self.return_list:
                kept.append(x)
        return *kept, x[:, :, 0]

    def forward_tokens(self, tokens: Sequence[Tensor]) -> Tensor:
        """The rest of ``forward``: the video token (N, C)."""
        *layers, class_tokens = tokens
        video_token = self.first_video_token(class_tokens.shape[0])
        for number, x in enumerate(layers):
            video_token = self.read(number, video_token, x)
        return self.fuse(video_token, class_tokens)

    def first_video_token(self, num_videos: int) -> Tensor:
        """What the first global UniBlock adds to: (N, 1, C)."""
        return self.temporal_cls_token.expand(num_videos, -1, -1)

    def read(self, number: int, video_token: Tensor, x: Tensor) -> Tensor:
        """A global UniBlock, by its number: video_token (N, 1, C), x: tokens (N, T, L, C); returns (N, 1, C)."""
        y = add_to_patches(x, self.dpe[number](patch_volume(x)))
        return self.dec[number](video_token, y.flatten(1, 2))

    def fuse(self, video_token: Tensor, class_tokens: Tensor) -> Tensor:
        """The video token (N, 1, C) with the mean of the ViT's class tokens (N, T, C): (N, C)."""
        z = video_token.squeeze(1)
        if self.balance is None:
            return z
        share = self.balance.sigmoid()
        return (1 - share) * z + share * class_tokens.mean(1)

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
