"""Stochastic depth: what is dropped at once, in the style of each key, and that the expectation is kept."""

import pytest
import torch
from timm.layers import DropPath as TimmDropPath
from torch import Tensor, nn

from slowfast.models.layers import DropPath
from slowfast.models.reference import use_reference
from slowfast.models.uniformerv2_blocks import GlobalUniBlock, LocalUniBlock, add_to_patches, patch_volume
from tests.models.tiny_models import tiny_uniformerv2
from tests.models.weights.layouts import randomized

N, T, L, C = 5, 3, 10, 24  # videos, frames, tokens per frame (a grid of 3 x 3 and the class token), channels
RATES = {"UNIFORMERV2__BACKBONE_DROP_PATH_RATE": 0.5, "UNIFORMERV2__DROP_PATH_RATE": 0.5}


@pytest.mark.parametrize(("axis", "num_draws"), [(0, N), (2, L), (None, 1)])
def test_a_mask_is_drawn_along_its_axis_and_keeps_the_expectation(axis, num_draws):
    torch.manual_seed(0)
    drop_path = DropPath(0.25, axis)
    masks = torch.stack([drop_path(torch.ones(N, T, L, C)) for _ in range(4000)])
    assert masks.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    along = (0, 1 + axis) if axis is not None else (0,)
    others = [each for each in range(5) if each not in along]
    assert torch.equal(masks.amin(others), masks.amax(others))  # one number for all that is dropped at once
    draws = masks.amax(others).view(4000, num_draws)
    assert draws.mean(0).tolist() == pytest.approx([1.0] * num_draws, abs=0.05)
    if num_draws > 1:
        assert torch.corrcoef(draws.T).fill_diagonal_(0).abs().max() < 0.08  # by itself
    drop_path.eval()
    assert torch.equal(drop_path(torch.ones(2, 3)), torch.ones(2, 3))


def upstream_local_block(block: LocalUniBlock, x: Tensor) -> Tensor:
    """A block of tokens (N, T, L, C) as the authors' code computes it: on (L, N * T, C), with timm's DropPath."""
    drop_path = TimmDropPath(block.drop_path.drop_prob)

    def added(x: Tensor, branch: nn.Module, norm: nn.Module) -> Tensor:
        tokens = x.flatten(0, 1).transpose(0, 1)  # (L, N * T, C)
        update = branch(norm(tokens).transpose(0, 1)).transpose(0, 1)
        return (tokens + drop_path(update)).transpose(0, 1).unflatten(0, (N, T))

    x = add_to_patches(x, drop_path(block.lmhra1(patch_volume(x))))
    x = added(x, block.attn, block.ln_1)
    x = add_to_patches(x, drop_path(block.lmhra2(patch_volume(x))))
    return added(x, block.mlp, block.ln_2)


def upstream_global_block(block: GlobalUniBlock, query: Tensor, tokens: Tensor) -> Tensor:
    """A block of video tokens (N, 1, C) likewise: on (1, N, C)."""
    drop_path = TimmDropPath(block.drop_path.drop_prob)
    update = block.attn(block.ln_1(query), block.ln_3(tokens)).transpose(0, 1)
    query = query.transpose(0, 1) + drop_path(update)
    return (query + drop_path(block.mlp(block.ln_2(query)))).transpose(0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_upstream_style_is_the_authors_rule(seed):
    """From one seed the same numbers are drawn."""
    generator = torch.Generator().manual_seed(seed)
    x, query = (torch.randn(shape, generator=generator) for shape in ((N, T, L, C), (N, 1, C)))
    local = randomized(LocalUniBlock(C, 3, drop_path=0.4, drop_path_style="upstream", has_temporal=True)).train()
    video = randomized(GlobalUniBlock(C, 3, drop_path=0.4, drop_path_style="upstream")).train()
    with torch.no_grad():
        for found, expected, inputs in (
            (local, upstream_local_block, (x,)),
            (video, upstream_global_block, (query, x.flatten(1, 2))),
        ):
            results = []
            for block in (found, lambda *inputs, block=found, rule=expected: rule(block, *inputs)):
                torch.manual_seed(seed)
                results.append(block(*inputs))
            torch.testing.assert_close(*results)


def dropped(model: nn.Module, clips: Tensor, *, backward: bool = False) -> dict[str, list[Tensor]]:
    """Whether each branch is dropped, by the name of its DropPath and call: bool, the shape of the branch."""
    seen: dict[str, list[Tensor]] = {}
    for name, module in model.named_modules():
        if isinstance(module, DropPath) and module.drop_prob:
            module.register_forward_hook(
                lambda _module, inputs, output, name=name: seen.setdefault(name, []).append(output.detach() == 0)
            )
    torch.manual_seed(1)
    logits = model(clips)
    if backward:
        logits.sum().backward()
    return seen


@pytest.mark.parametrize("build", [lambda model: model, use_reference], ids=["fast", "reference"])
@pytest.mark.parametrize("style", ["video", "upstream"])
def test_what_a_model_drops_at_once(style, build):
    model = tiny_uniformerv2(UNIFORMERV2__DROP_PATH_STYLE=style, **RATES)
    seen = dropped(build(randomized(model)).train(), torch.randn(16, 3, 4, 16, 16))
    assert seen.keys() == {
        *(
            f"backbone.transformer.resblocks.{idx}.{name}"
            for idx in (1, 2)
            for name in ("drop_path", "temporal_drop_path")
        ),
        "backbone.transformer.dec.1.drop_path",
    }
    for name, masks in seen.items():
        assert len(masks) == 2
        token_axis = None if ".dec." in name else 2
        axis = 0 if style == "video" or "temporal" in name else token_axis
        others = [each for each in range(masks[0].ndim) if each != axis]
        for mask in masks:
            assert torch.equal(mask.float().amin(others), mask.float().amax(others))
    drawn = {name: torch.stack(masks) for name, masks in seen.items() if ".dec." not in name}
    assert all(mask.any() and not mask.all() for mask in drawn.values())


@pytest.mark.parametrize("style", ["video", "upstream"])
def test_recomputation_draws_the_same_mask(style):
    checkpointing = {"MODEL__USE_CHECKPOINT": True, "MODEL__CHECKPOINT_NUM": [3]}
    model = randomized(tiny_uniformerv2(UNIFORMERV2__DROP_PATH_STYLE=style, **RATES, **checkpointing)).train()
    seen = dropped(model, torch.randn(6, 3, 4, 16, 16), backward=True)
    for name, masks in seen.items():
        if ".resblocks." in name:
            again = masks[2:]  # recomputation ends with what the backward pass needs: the last branch may be left out
            assert again and all(torch.equal(*pair) for pair in zip(masks[:2], again, strict=False))


def test_video_is_the_default_and_no_draw_moves_a_weight():
    default, upstream = tiny_uniformerv2(**RATES), tiny_uniformerv2(UNIFORMERV2__DROP_PATH_STYLE="upstream", **RATES)
    assert default.state_dict().keys() == upstream.state_dict().keys()
    video = tiny_uniformerv2(UNIFORMERV2__DROP_PATH_STYLE="video", **RATES)
    assert str(default) == str(video) != str(upstream)
