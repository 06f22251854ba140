"""What a model is, and the registry that ``MODEL.MODEL_NAME`` is looked up in.

The words are timm's, with its meaning, for clips instead of images.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar

from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.config.choices import ChoiceRegistry
from slowfast.errors import UserError
from slowfast.models.weights.family import WeightsFamily


class VideoModel(nn.Module):
    """A video classifier: float clips (N, 3, T, H, W), normalised, to logits (N, K).

    In training a model of several heads returns the logits of each, (N, K), in a tuple; the first are those that it
    returns in evaluation, and the loss is the mean of the heads' losses.

    A family defines ``from_config``, ``forward_features``, ``forward_head`` and ``forward_intermediates``, and what
    else differs from what stands here. Parameter names are those of its published checkpoints.

    Attributes:
        num_classes: K; 0 without a classifier.
        num_features: C, channels of the pooled features that the classifier reads.
        num_layers: blocks that ``forward_intermediates`` counts.
        classifier_names: names of the linear layers that put out logits; most models have one. The first is the one
            that counts in evaluation.
        bfloat16_jump: how far its logits in bfloat16 may always be from those in float32, of the largest; above 0 for a
            model that chooses among tokens, and in bfloat16 now and then chooses others.
        has_fixed_frames: whether a program of the model (``slowfast.inference.export``) holds for its number of frames
            alone.
        weights: what is known about the family's public weights.
    """

    classifier_names: ClassVar[Sequence[str]] = ("head",)
    bfloat16_jump: ClassVar[float] = 0.0
    has_fixed_frames: ClassVar[bool] = False
    weights: ClassVar[WeightsFamily] = WeightsFamily()

    num_classes: int
    num_features: int
    num_layers: int

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "VideoModel":
        """Build what the config says, on the CPU, initialised at random, with its frozen and recomputed parts."""
        raise NotImplementedError

    def forward_features(self, clips: Tensor) -> Tensor:
        """What ``forward_head`` reads.

        Args:
            clips: float (N, 3, T, H, W), normalised.
        """
        raise NotImplementedError

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (N, K), or with ``pre_logits`` the pooled features (N, C) that the classifier multiplies."""
        raise NotImplementedError

    def forward_intermediates(self, clips: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """The outputs of some blocks as volumes (N, C, T, H, W), in the order in which they are asked for.

        Args:
            clips: as for ``forward_features``.
            layers: 0-based blocks; negative ones count from the last. What follows the last of them is not computed.

        Raises:
            UserError: for a block that the model does not have.
        """
        raise NotImplementedError

    @property
    def has_frame_tokens(self) -> bool:
        """Whether most of the network sees each frame by itself, so that a stream computes every frame only once.

        A family of which that is true defines ``frame_tokens`` and ``forward_tokens``, too.
        """
        return False

    def frame_tokens(self, clips: Tensor) -> tuple[Tensor, ...]:
        """What is computed of each frame by itself, wherever in a clip and beside whatever frames it stands.

        Args:
            clips: as for ``forward_features``.

        Returns:
            Tensors (N, T, ...).
        """
        raise NotImplementedError

    def forward_tokens(self, tokens: Sequence[Tensor]) -> Tensor:
        """What ``forward_features`` returns, from the tokens of all frames of the clips, in their order.

        Args:
            tokens: as ``frame_tokens`` returns them, of any number of calls, joined along T.
        """
        raise NotImplementedError

    def forward(self, clips: Tensor) -> Tensor | tuple[Tensor, ...]:
        """clips: float (N, 3, T, H, W), normalised; returns logits (N, K), in training those of every head."""
        return self.forward_head(self.forward_features(clips))

    def get_classifier(self) -> nn.Module | tuple[nn.Module, ...]:
        """The classifier, or all of them where a model has several."""
        classifiers = tuple(self.get_submodule(name) for name in self.classifier_names)
        return classifiers[0] if len(classifiers) == 1 else classifiers

    def reset_classifier(self, num_classes: int) -> None:
        """Put fresh classifiers in place of the old ones, on the same device; 0 classes leave the pooled features."""
        if num_classes < 0:
            raise UserError(f"num_classes is {num_classes}; accepted: at least 0, which takes the classifier away")
        like = next(self.parameters())
        for name in self.classifier_names:
            parent, _, leaf = name.rpartition(".")
            fresh: nn.Module = nn.Identity()
            if num_classes:
                fresh = nn.Linear(self.num_features, num_classes, device=like.device, dtype=like.dtype)
                self.init_classifier(fresh)
            setattr(self.get_submodule(parent), leaf, fresh)
        self.num_classes = num_classes

    def init_classifier(self, linear: nn.Linear) -> None:
        """Initialise a fresh classifier as ``from_config`` does; here, as PyTorch does."""

    def backbone_parameters(self) -> list[nn.Parameter]:
        """What a pretrained backbone brings along: SOLVER.BACKBONE_LR_RATIO is for these; here, all but classifiers."""
        heads = {id(p) for name in self.classifier_names for p in self.get_submodule(name).parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in heads]

    def freeze_backbone(self) -> None:
        """Train all but ``backbone_parameters`` from now on."""
        for parameter in self.backbone_parameters():
            parameter.requires_grad_(False)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the activations of all blocks in the backward pass, or of none; outputs do not change."""
        raise NotImplementedError

    def layer_idx(self, name: str) -> int:
        """The layer of a parameter, by its name, as layer-wise learning rates (SOLVER.LAYER_DECAY) count.

        0 is the embedding and i the i-th block; all that follows the blocks is layer ``num_layers`` + 1.
        """
        raise UserError(f"SOLVER.LAYER_DECAY: the layers of {type(self).__name__} are not numbered; set it to 1.0")

    def layer_indices(self, layers: Sequence[int]) -> list[int]:
        """Blocks as ``forward_intermediates`` takes them, none of them negative.

        Raises:
            UserError: for a block that the model does not have.
        """
        for layer in layers:
            is_number = isinstance(layer, Integral) and not isinstance(layer, bool)
            if not (is_number and -self.num_layers <= layer < self.num_layers):
                told = f"{type(self).__name__} of {self.num_layers} blocks has no block {layer!r}"
                raise UserError(f"{told}; accepted: {-self.num_layers} to {self.num_layers - 1}")
        return [layer % self.num_layers for layer in layers]


def logits_of_heads(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a model returned, head by head."""
    return output if isinstance(output, tuple) else (output,)


class ModelRegistry(ChoiceRegistry):
    """Video classifiers by the names of their classes, which are subclasses of ``VideoModel``.

    A family with keys of its own registers their section, too (``slowfast.config.sections``). What is registered from
    outside the package works like one of ours.
    """

    def register(self, obj: Any = None, *, name: str = "") -> Any:
        """Add a class, as a decorator or by a call.

        Raises:
            UserError: if it is no subclass of ``VideoModel``, or its name is taken.
        """
        if obj is not None and not (isinstance(obj, type) and issubclass(obj, VideoModel)):
            raise UserError(f"MODEL registry: {obj!r} is no subclass of slowfast.models.VideoModel")
        return super().register(obj, name=name)

    def aliases(self, model: type[VideoModel]) -> list[str]:
        """All names under which a class is registered: its weights are weights of each."""
        return [name for name, registered in self if registered is model]


MODEL_REGISTRY = ModelRegistry("MODEL", "MODEL.MODEL_NAME")
