"""Weights of classes: the formulas, the losses against PyTorch's own, and what a file may hold."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from slowfast.config import load_config
from slowfast.datasets.transforms.mixup import smooth_one_hot
from slowfast.errors import UserError
from slowfast.solver.class_weights import balanced_positive_weights, balanced_weights, build_class_weights
from slowfast.solver.loss import build_loss

WEIGHTS = torch.tensor([0.25, 1.0, 4.0])


def weighted(name: str, *overrides: object, weights: Tensor = WEIGHTS):
    return build_loss(load_config(None, ["MODEL.LOSS_FUNC", name, *overrides]), weights)


def draws(num_clips: int = 7) -> tuple[Tensor, Tensor]:
    """Logits float64 (N, 3) with a gradient, and labels (N,)."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(num_clips, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    return logits, torch.randint(3, (num_clips,), generator=generator)


# Formulas


@given(labels=st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_balanced_weights_are_scikit_learns_and_1_on_average(labels: list[int]):
    counts = np.bincount(labels, minlength=8)
    weights = balanced_weights(counts, len(labels))
    present = np.unique(labels)
    expected = compute_class_weight("balanced", classes=present, y=np.array(labels))
    np.testing.assert_allclose(weights[present], expected, rtol=1e-12)
    assert weights[labels].mean() == pytest.approx(1)
    assert all(weights[label] == 1 for label in range(8) if label not in labels)


def test_positive_weights_are_videos_without_over_videos_with_a_class():
    """PyTorch's example: of 400 videos, 100 with and 300 without the class give 3."""
    assert balanced_positive_weights(np.array([100, 200, 400, 0]), 400).tolist() == [3, 1, 1, 1]


def test_the_key_names_what_is_built(tmp_path: Path):
    def built(source: object, *overrides: object) -> Tensor | None:
        cfg = load_config(None, ["MODEL.CLASS_WEIGHTS", str(source), "MODEL.NUM_CLASSES", 3, *overrides])
        return build_class_weights(cfg, np.array([1, 3, 4]), 8)

    path = tmp_path / "weights.txt"
    path.write_text("0.5\n0\n1e2\n")
    assert built("") is None
    assert built(path).tolist() == [0.5, 0, 100] and built(path).dtype == torch.float32
    torch.testing.assert_close(built("balanced"), torch.tensor([8 / 3, 8 / 9, 8 / 12]))
    several = ["DATA.MULTI_LABEL", True, "MODEL.LOSS_FUNC", "bce_logit"]
    torch.testing.assert_close(built("balanced", *several), torch.tensor([7.0, 5 / 3, 1.0]))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1\n2\n", ": 2 weights; accepted: one per line for each of MODEL.NUM_CLASSES 3 classes"),
        ("1\n2\n3\n4\n", ": 4 weights; accepted: one per line for each of MODEL.NUM_CLASSES 3 classes"),
        ("0\n0\n0\n", ": no weight above 0; accepted: one per line for each of MODEL.NUM_CLASSES 3 classes"),
        ("1\nrun\n3\n", ":2: 'run' is no weight; accepted: a finite number from 0 on"),
        ("1\n\n3\n", ":2: '' is no weight; accepted: a finite number from 0 on"),
        ("1\n2\n-3\n", ":3: '-3' is no weight; accepted: a finite number from 0 on"),
        ("nan\n2\n3\n", ":1: 'nan' is no weight; accepted: a finite number from 0 on"),
        ("inf\n2\n3\n", ":1: 'inf' is no weight; accepted: a finite number from 0 on"),
        ("1e300\n2\n3\n", ":1: '1e300' is no weight; accepted: a finite number from 0 on"),
    ],
)
def test_a_file_of_something_else_is_refused(text: str, told: str, tmp_path: Path):
    path = tmp_path / "weights.txt"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        build_class_weights(load_config(None, ["MODEL.CLASS_WEIGHTS", str(path)]), [1, 1, 1], 3)
    assert str(error.value) == f"MODEL.CLASS_WEIGHTS {path}{told}"


def test_a_name_of_nothing_is_refused_with_what_is_accepted():
    cfg = load_config(None, ["MODEL.CLASS_WEIGHTS", "balance"])
    with pytest.raises(UserError) as error:
        build_class_weights(cfg, [1, 1, 1], 3)
    assert str(error.value) == (
        "MODEL.CLASS_WEIGHTS balance: cannot be read: No such file or directory; accepted: '', balanced, or a file of "
        "weights"
    )


# Losses


def test_weighted_cross_entropy_is_pytorchs_sum_over_the_clips():
    logits, labels = draws()
    expected = F.cross_entropy(logits, labels, WEIGHTS.double(), reduction="sum") / 7
    torch.testing.assert_close(weighted("cross_entropy")(logits, labels), expected)
    by_hand = -(WEIGHTS[labels] * logits.log_softmax(1)[torch.arange(7), labels]).mean()
    torch.testing.assert_close(expected, by_hand)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_weighted_labels_and_weighted_distributions_are_the_same(smoothing: float):
    """One-hot targets through PyTorch's own mean, and its gradient."""
    logits, labels = draws()
    targets = smooth_one_hot(labels, 3, smoothing).double()
    expected = F.cross_entropy(logits, targets, WEIGHTS.double())
    hard = weighted("cross_entropy", "MODEL.LABEL_SMOOTHING", smoothing)(logits, labels)
    soft = weighted("soft_cross_entropy", "MIXUP.ENABLE", True)(logits, targets)
    torch.testing.assert_close(hard, expected)
    torch.testing.assert_close(soft, expected)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (hard, soft, expected)]
    torch.testing.assert_close(gradients[0], gradients[2])
    torch.testing.assert_close(gradients[1], gradients[2])


def test_weights_do_not_cancel_out_in_small_batches():
    """As they do in PyTorch's mean over the weights; so batches that are accumulated add up to a large one."""
    logits, labels = draws(6)
    loss = weighted("cross_entropy")
    parts = [loss(logits[i : i + 2], labels[i : i + 2]) for i in (0, 2, 4)]
    torch.testing.assert_close(torch.stack(parts).mean(), loss(logits, labels))
    one = F.cross_entropy(logits[:1], labels[:1])
    torch.testing.assert_close(loss(logits[:1], labels[:1]), WEIGHTS[labels[0]] * one)


def test_weighted_bce_is_pytorchs_with_weights_of_the_positives():
    logits, _ = draws()
    shown = (torch.arange(21).reshape(7, 3) % 2).double()
    expected = F.binary_cross_entropy_with_logits(logits, shown, pos_weight=WEIGHTS.double())
    torch.testing.assert_close(weighted("bce_logit", "DATA.MULTI_LABEL", True)(logits, shown), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["cross_entropy", "bce_logit"])
def test_weights_stay_in_single_precision_under_autocast(name: str, dtype: torch.dtype):
    logits, labels = draws()
    half, weights = logits.detach().to(dtype).requires_grad_(), torch.tensor([0.3, 1.1, 4.7])
    targets = F.one_hot(labels, 3).float() if name == "bce_logit" else labels
    loss = weighted(name, "DATA.MULTI_LABEL", name == "bce_logit", weights=weights)
    with torch.autocast("cpu", dtype):
        result = loss(half, targets)
    result.backward()
    torch.testing.assert_close(result.float(), loss(half.detach().float(), targets), rtol=1e-2, atol=1e-2)
    assert half.grad.isfinite().all() and half.grad.abs().sum() > 0
    if name == "cross_entropy":
        torch.testing.assert_close(result, loss(half.detach().float(), targets), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "soft_cross_entropy"])
def test_without_weights_the_loss_is_pytorchs_bit_by_bit(name: str):
    logits, labels = draws()
    targets = labels if name == "cross_entropy" else smooth_one_hot(labels, 3, 0.1).double()
    loss = weighted(name, "MIXUP.ENABLE", name == "soft_cross_entropy", weights=None)
    assert torch.equal(loss(logits, targets), F.cross_entropy(logits, targets))
