"""Weights of another shape, where the shape can be changed: kernels without time, positions of another grid."""

import torch
import torch.nn.functional as F
from torch import Tensor


def inflate_at_centre(weight: Tensor, num_frames: int) -> Tensor:
    """The 2-D kernel in the middle of a 3-D one that is 0 elsewhere: of each clip it sees the middle frame.

    Args:
        weight: (out, in, h, w).
        num_frames: length of the 3-D kernel in time.

    Returns:
        (out, in, num_frames, h, w).
    """
    inflated = weight.new_zeros(*weight.shape[:2], num_frames, *weight.shape[2:])
    inflated[:, :, num_frames // 2] = weight
    return inflated


def inflate_by_repetition(weight: Tensor, num_frames: int) -> Tensor:
    """The 2-D kernel repeated over time and divided by its length (I3D, arXiv 1705.07750): equal frames, equal result.

    Args:
        weight: (out, in, h, w).
        num_frames: length of the 3-D kernel in time.

    Returns:
        (out, in, num_frames, h, w).
    """
    return weight.unsqueeze(2).repeat(1, 1, num_frames, 1, 1) / num_frames


def resize_positions(positions: Tensor, num_tokens: int) -> Tensor:
    """Resize the grid of a positional embedding bicubically; the class token's position stays.

    Args:
        positions: (1 + g^2, C).
        num_tokens: 1 + the patches wanted, a square.

    Returns:
        (num_tokens, C).
    """
    old, new = round((len(positions) - 1) ** 0.5), round((num_tokens - 1) ** 0.5)
    image = positions[1:].T.reshape(1, -1, old, old)
    image = F.interpolate(image, size=(new, new), mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], image.flatten(2).squeeze(0).T])


def is_grid(num_patches: int) -> bool:
    """Whether patches can form a square."""
    return num_patches > 0 and round(num_patches**0.5) ** 2 == num_patches
