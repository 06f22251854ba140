"""UniFormer-XXS and -XS against the published figures and against their reference."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from slowfast.config import load_config
from slowfast.models import build_model, logits_of_heads, use_reference
from slowfast.models.uniformer_light import UniformerLight
from slowfast.models.uniformer_light_blocks import PrunedGlobalBlock
from tests.golden_rule import golden_input, golden_state_dict, load_golden, relative_l2
from tests.models.published_gradients import published_gradients
from tests.models.tiny_models import tiny_light
from tests.models.weights.layouts import randomized

pytestmark = pytest.mark.usefixtures("one_thread")


def clips_of(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def step(model: nn.Module, clips: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Logits of both heads of a seeded forward whose backward pass has run."""
    torch.manual_seed(2)
    heads = model(clips)
    sum(logits.float().square().sum() for logits in heads).backward()
    return heads


# ---------------------------------------------------------------- published figures


@pytest.mark.parametrize("name", ["uniformer_xxs_4x128", "uniformer_xxs_8x160", "uniformer_xs_8x128"])
def test_published_model_is_reproduced(name):
    golden = load_golden(name)
    model = build_model(load_config(None, [word for pair in golden["config"].items() for word in pair])).eval()
    assert [[key, list(value.shape)] for key, value in model.state_dict().items()] == golden["state_dict"]
    assert sum(p.numel() for p in model.parameters()) == golden["params"]

    model.load_state_dict(golden_state_dict(golden["state_dict"]), strict=True)
    clips, expected = golden_input(golden["input_shape"]), torch.tensor(golden["logits"])
    with torch.inference_mode():
        assert relative_l2(model(clips), expected) < 1e-4
        assert relative_l2(torch.cat([model(clip) for clip in clips.split(1)]), expected) < 1e-4
        assert relative_l2(use_reference(model)(clips), expected) < 1e-4


# ---------------------------------------------------------------- the function


@pytest.mark.parametrize("changes", [{}, {"std": True}, {"layer_scale": 0.1}, {"qkv_scale": 0.5}], ids=str)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_outputs_and_gradients_equal_the_reference(changes, training):
    model = randomized(tiny_light(**changes)).double().train(training)
    reference = use_reference(model)
    clips = clips_of(2, 3, 5, 64, 96).double()
    outputs = [logits_of_heads(each(clips)) for each in (model, reference)]
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
    for heads in outputs:
        sum(logits.square().sum() for logits in heads).backward()
    torch.testing.assert_close(published_gradients(model), published_gradients(reference), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("num_frames", [1, 2, 7])
@pytest.mark.parametrize("side", [32, 96])
def test_any_number_of_frames_and_any_size(num_frames, side):
    logits = randomized(tiny_light())(clips_of(2, 3, num_frames, side, 32))
    assert logits.shape == (2, 5) and logits.isfinite().all()


def test_two_videos_at_once_are_two_videos():
    model, clips = randomized(tiny_light()).double(), clips_of(2, 3, 4, 64, 64).double()
    torch.testing.assert_close(model(clips), torch.cat([model(clip) for clip in clips.split(1)]))


def test_two_models_do_not_meet():
    """One runs in the middle of the other, which a score that lives in a module would not survive."""
    clips, others = clips_of(2, 3, 4, 64, 64), clips_of(1, 3, 8, 32, 32)
    model, other = randomized(tiny_light()), randomized(tiny_light(depth=(1, 1, 1, 1)))
    alone, ran = model(clips), []
    model.blocks3[0].register_forward_hook(lambda *_: ran.append(other(others)))
    assert torch.equal(model(clips), alone)
    assert torch.equal(ran[0], other(others))


def test_the_last_class_token_has_a_head_of_its_own_in_training():
    model, clips = randomized(tiny_light()), clips_of(2, 3, 4, 64, 64)
    expected = model(clips)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.track_running_stats, module.training = False, False
    model.training = True  # of the model alone: its parts compute as in evaluation
    logits, class_logits = model(clips)
    assert torch.equal(logits, expected)
    assert class_logits.shape == logits.shape and not torch.allclose(logits, class_logits)


# ---------------------------------------------------------------- scores and ranks


def traced_state(model: UniformerLight, clips: torch.Tensor, dtype: torch.dtype | None = None) -> list[tuple]:
    """What each block of stages 3 and 4 was given and gave: x, class token, score and order."""
    calls = []
    for block in [*model.blocks3, *model.blocks4]:
        block.register_forward_hook(lambda _block, given, gave: calls.append((given, gave)))
    with torch.no_grad(), nullcontext() if dtype is None else torch.autocast("cpu", dtype):
        model(clips)
    return calls


def test_scores_and_ranks_go_from_block_to_block():
    calls = traced_state(randomized(tiny_light()), clips_of(2, 3, 4, 64, 64))
    num_tokens = [2 * 4 * 4] * 3 + [2 * 2 * 2] * 2
    assert calls[0][0][2:] == (None, None)
    for (_, gave), (given, _), number in zip(calls, calls[1:], num_tokens[1:], strict=False):
        assert gave[2] is given[2] and gave[3] is given[3]
        assert given[2].shape == given[3].shape == (2, number)
    scores = [gave[2] for _, gave in calls]
    torch.testing.assert_close(scores[2].sum(1), torch.ones(2), rtol=0.5, atol=0)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("keeps_float32", [True, False])
def test_ranks_are_permutations_under_autocast(dtype, keeps_float32):
    """The 2,304 tokens of UniFormer-XS 32x192; bfloat16 tells no more than 256 numbers apart."""
    model = randomized(tiny_light(depth=(1, 1, 3, 1), keeps_float32=keeps_float32))
    calls = traced_state(model, clips_of(1, 3, 32, 192, 192), dtype)
    assert [gave[3].shape[1] for _, gave in calls] == [2304, 2304, 576, 576]
    for _, (_, _, score, order) in calls:
        assert order.dtype == torch.int64 and score.dtype == torch.float32
        assert torch.equal(order.sort(dim=1).values, torch.arange(order.shape[1]).unsqueeze(0))


@pytest.mark.parametrize("has_reference", [False, True])
def test_xs_under_bfloat16_returns_every_token_to_its_place(has_reference):
    """A block of UniFormer-XS whose branches add nothing is the identity, given any scores."""
    block = PrunedGlobalBlock(
        256,
        keep_ratio=0.5,
        trade_off=0.5,
        mlp_ratio=3.0,
        dropout_rate=0.0,
        drop_path_rate=0.0,
        layer_scale=None,
        head_dim=32,
        qkv_bias=True,
        qkv_scale=None,
        attention_dropout_rate=0.0,
        keeps_float32=True,
    )
    for layer in (block.attn.proj, block.mlp.fc2, block.pos_embed):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    block = use_reference(block) if has_reference else block
    x, score = clips_of(1, 256, 16, 12, 12).bfloat16(), torch.rand(1, 2304)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        y, _, _, _ = block(x, torch.zeros(1, 1, 256), score, score.argsort(1, descending=True))
    assert torch.equal(y.bfloat16(), x)


def test_attention_stays_in_float32_under_autocast_where_the_name_says_so():
    for name, expected in (
        ("Uniformer_light", torch.bfloat16),
        ("Uniformer_light_fp32", torch.float32),
        ("Uniformer_light_ls_fp32", torch.float32),
    ):
        model = build_model(load_config(None, ["MODEL.MODEL_NAME", name, "DATA.TEST_CROP_SIZE", 64])).eval()
        seen = []
        attend = model.blocks3[1].attn.attend
        attend.register_forward_hook(lambda _, given, gave, seen=seen: seen.append((given[0].dtype, gave[1].dtype)))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            model(clips_of(1, 3, 2, 32, 32))
        assert seen == [(expected, torch.float32)], name


# ---------------------------------------------------------------- recomputation


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_recomputation_changes_neither_outputs_nor_gradients_nor_statistics(dtype):
    clips, outcomes = clips_of(3, 3, 4, 64, 64), []
    plain = randomized(tiny_light(drop_depth_rate=0.4, dropout_rate=0.1, layer_scale=0.1))
    for checkpoint_num in [(0, 0, 0, 0), (1, 1, 3, 2)]:
        model = copy.deepcopy(plain).train()
        model.checkpoint_num = checkpoint_num
        with nullcontext() if dtype is None else torch.autocast("cpu", dtype):
            heads = step(model, clips)
        outcomes.append((heads, {name: p.grad for name, p in model.named_parameters()}, model.state_dict()))
    torch.testing.assert_close(*outcomes, rtol=1e-5, atol=1e-6)


def test_a_recomputed_block_is_given_the_very_same_scores_and_ranks():
    model, calls = randomized(tiny_light(checkpoint_num=(0, 0, 3, 2))).train(), []
    model.blocks3[2].register_forward_pre_hook(lambda _, given: calls.append(given[2:]))
    step(model, clips_of(2, 3, 4, 64, 64))
    assert len(calls) == 2
    assert all(torch.equal(first, second) for first, second in zip(*calls, strict=True))


# ---------------------------------------------------------------- arguments and initialisation


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prune_ratio": [[], [], [1]]}, r"UNIFORMER\.PRUNE_RATIO is \[\[\], \[\], \[1\]\]; accepted: 4 lists"),
        ({"trade_off": [[0.5], [], [1] * 3, [1] * 2]}, r"TRADE_OFF is .*; leave the first two lists empty"),
        (
            {"depth": (1, 2, 4, 2)},
            r"PRUNE_RATIO is .* and UNIFORMER.DEPTH \[1, 2, 4, 2\]; give stages 3 and 4",
        ),
        ({"prune_ratio": [[], [], [1, 0, 0.5], [1, 1]]}, r"PRUNE_RATIO is .*; accepted: each number in \(0, 1\]"),
        ({"trade_off": [[], [], [1, 1.1, 0.5], [1, 1]]}, r"TRADE_OFF is .*; accepted: each number in \[0, 1\]"),
        ({"prune_ratio": [[], [], [0.5] * 3, [1, 1]]}, r"PRUNE_RATIO is .*; make the first number of stage 3 a 1"),
        ({"head_dim": 20}, r"make the channels of stages 3 and 4 multiples of HEAD_DIM"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_light(**changes)


def test_initialisation():
    model = tiny_light(layer_scale=0.3, drop_depth_rate=0.7)
    assert not model.cls_token.any() and model.cls_token.shape == (1, 1, 32)
    assert model.norm_cls.eps == 1e-5
    for block in [*model.blocks3, *model.blocks4]:
        assert {block.norm1.eps, block.norm2.eps} == {1e-6}
    gammas = [value for name, value in model.named_parameters() if "gamma" in name]
    assert len(gammas) == 2 * model.num_layers and all((gamma == 0.3).all() for gamma in gammas)
    blocks = [block for stage in (1, 2, 3, 4) for block in getattr(model, f"blocks{stage}")]
    rates = [block.drop_path.drop_prob for block in blocks]
    assert rates == pytest.approx([0.1 * i for i in range(8)])
    assert [block.prune is None for block in blocks[3:]] == [True, False, False, False, False]


def test_layers_of_what_the_class_token_needs():
    model = tiny_light()
    assert model.layer_idx("cls_token") == model.layer_idx("blocks3.0.norm1.weight")
    assert model.layer_idx("cls_upsample.weight") == model.layer_idx("blocks4.0.norm1.weight")
    assert model.layer_idx("norm_cls.weight") == model.layer_idx("head_cls.bias") == model.num_layers + 1
