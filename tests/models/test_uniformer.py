"""UniFormer against the published figures and against its reference."""

import copy

import pytest
import torch
from torch import nn

from slowfast.config import get_cfg
from slowfast.models.layers import DropPath
from slowfast.models.reference import use_reference
from slowfast.models.uniformer import Uniformer
from slowfast.models.uniformer_blocks import Attention, GlobalBlock, LocalBlock
from tests.golden_rule import golden_input, golden_state_dict, load_golden, relative_l2
from tests.models.published_gradients import published_gradients
from tests.models.tiny_models import TINY_UNIFORMER, tiny_uniformer

pytestmark = pytest.mark.usefixtures("one_thread")


def randomise(model):
    """Golden weights for any model: fresh BatchNorm statistics and zero biases would hide mistakes."""
    model.load_state_dict(golden_state_dict((name, value.shape) for name, value in model.state_dict().items()))
    return model


# ---------------------------------------------------------------- published figures


@pytest.mark.parametrize("name", ["uniformer_s_k400_16x224", "uniformer_s_split_8x224"])
def test_published_model_is_reproduced(name):
    golden = load_golden(name)
    config = golden["config"]
    model = Uniformer(
        num_classes=config["MODEL.NUM_CLASSES"],
        embed_dim=config["UNIFORMER.EMBED_DIM"],
        depth=config["UNIFORMER.DEPTH"],
        head_dim=config["UNIFORMER.HEAD_DIM"],
        mlp_ratio=config["UNIFORMER.MLP_RATIO"],
        split=config["UNIFORMER.SPLIT"],
        std=config["UNIFORMER.STD"],
    ).eval()
    assert [[key, list(value.shape)] for key, value in model.state_dict().items()] == golden["state_dict"]
    assert sum(p.numel() for p in model.parameters()) == golden["params"]

    model.load_state_dict(golden_state_dict(golden["state_dict"]), strict=True)
    with torch.inference_mode():
        logits = model(golden_input(golden["input_shape"]))
    assert logits.shape == (1, config["MODEL.NUM_CLASSES"])
    assert relative_l2(logits, torch.tensor([golden["logits"]])) < 1e-4


def test_uniformer_b_has_the_published_number_of_parameters():
    model = Uniformer(num_classes=400, depth=(5, 8, 20, 7))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(49.8, abs=0.05)


# ---------------------------------------------------------------- the function


@pytest.mark.parametrize(
    "changes",
    [{}, {"split": True}, {"std": True}, {"qkv_bias": False}, {"qkv_scale": 0.5}, {"mlp_ratio": (1, 2, 3, 1.5)}],
    ids=lambda changes: next(iter(changes), "default"),
)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_outputs_and_gradients_equal_the_reference(changes, training):
    model = randomise(tiny_uniformer(**changes)).double().train(training)
    reference = use_reference(model)
    clips = torch.randn(2, 3, 5, 64, 32, dtype=torch.float64)
    actual, expected = model(clips), reference(clips)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)

    weights = torch.randn_like(expected)
    for logits in (actual, expected):
        (weights * logits).sum().backward()
    torch.testing.assert_close(published_gradients(model), published_gradients(reference), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("num_frames", [1, 2, 7])
def test_any_number_of_frames_and_oblong_clips(num_frames, split):
    logits = tiny_uniformer(split=split).eval()(torch.randn(2, 3, num_frames, 32, 96))
    assert logits.shape == (2, 5)
    assert logits.isfinite().all()


def test_memory_layout_of_the_clips_does_not_matter():
    model = randomise(tiny_uniformer()).eval()
    clips = torch.randn(2, 3, 4, 32, 32)
    channels_last = clips.contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(model(channels_last), model(clips), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 4, 48, 64), (1, 3, 4, 64, 40), (3, 4, 32, 32), (1, 1, 4, 32, 32)])
def test_clips_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"accepted: \(N, 3, T, H, W\) with H and W multiples of 32") as error:
        tiny_uniformer()(torch.randn(shape))
    assert str(shape) in str(error.value)


# ---------------------------------------------------------------- arguments


def test_one_mlp_ratio_stands_for_all_stages():
    one, four = (tiny_uniformer(mlp_ratio=ratio).state_dict() for ratio in (2, (2, 2, 2, 2)))
    assert {key: value.shape for key, value in one.items()} == {key: value.shape for key, value in four.items()}


def test_std_makes_later_patch_embeddings_overlap_in_time():
    plain, std = tiny_uniformer(), tiny_uniformer(std=True)
    assert plain.patch_embed1.proj.weight.shape == std.patch_embed1.proj.weight.shape == (8, 3, 3, 4, 4)
    for stage, (dim, in_dim) in {2: (16, 8), 3: (32, 16), 4: (48, 32)}.items():
        plain_embed, std_embed = (getattr(model, f"patch_embed{stage}") for model in (plain, std))
        assert plain_embed.proj.weight.shape == (dim, in_dim, 1, 2, 2)
        assert std_embed.proj.weight.shape == (dim, in_dim, 3, 2, 2)
        clip = torch.randn(1, in_dim, 3, 4, 4)
        assert std_embed(clip).shape == plain_embed(clip).shape == (1, dim, 3, 2, 2)


def test_qkv_scale_none_is_the_inverse_root_of_the_head_size():
    clips = torch.randn(1, 3, 4, 32, 32)
    default, explicit, other = (
        randomise(tiny_uniformer(qkv_scale=scale)).eval()(clips) for scale in (None, 16**-0.5, 1.0)
    )
    torch.testing.assert_close(default, explicit)
    assert relative_l2(other, default) > 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": (8, 16, 32)}, r"UNIFORMER.EMBED_DIM is \[8, 16, 32\]; accepted: 4 entries"),
        ({"depth": (1, 1, 1, 1, 1)}, r"UNIFORMER.DEPTH is \[1, 1, 1, 1, 1\]; accepted: 4 entries"),
        ({"mlp_ratio": [4.0]}, r"UNIFORMER.MLP_RATIO is \[4.0\]; accepted: 4 entries"),
        ({"checkpoint_num": [2]}, r"MODEL.CHECKPOINT_NUM is \[2\]; accepted: 4 entries"),
        (
            {"head_dim": 20},
            r"EMBED_DIM is \[8, 16, 32, 48\] and UNIFORMER.HEAD_DIM 20; make the channels of stages 3 and 4",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_uniformer(**changes)


def changed_config(**model_keys):
    """A config whose keys are all unlike the constructor's defaults."""
    cfg = get_cfg()
    cfg.MODEL.NUM_CLASSES = 7
    cfg.MODEL.update(model_keys)
    cfg.UNIFORMER.update(
        EMBED_DIM=[8, 16, 32, 48],
        DEPTH=[1, 1, 2, 1],
        HEAD_DIM=16,
        MLP_RATIO=2,
        SPLIT=True,
        STD=True,
        QKV_BIAS=False,
        QKV_SCALE=0.3,
        DROPOUT_RATE=0.1,
        ATTENTION_DROPOUT_RATE=0.2,
        DROP_DEPTH_RATE=0.4,
    )
    cfg.freeze()
    return cfg


def test_from_config_passes_every_key_on():
    model = Uniformer.from_config(changed_config(USE_CHECKPOINT=True, CHECKPOINT_NUM=[1, 0, 2, 0]))
    assert model.head.weight.shape == (7, 48)
    assert model.patch_embed2.proj.kernel_size == (3, 2, 2)
    assert [len(getattr(model, f"blocks{i}")) for i in (1, 2, 3, 4)] == [1, 1, 2, 1]
    assert model.checkpoint_num == (1, 0, 2, 0)
    block = model.blocks4[0]
    assert block.split
    assert block.mlp.fc1.out_features == 2 * 48
    assert (block.attn.head_dim, block.attn.attend.scale, block.attn.attend.dropout_rate) == (16, 0.3, 0.2)
    assert block.attn.qkv.bias is None
    assert block.drop_path.drop_prob == pytest.approx(0.4)
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.1}


def test_checkpoint_num_is_without_effect_unless_checkpointing_is_on():
    cfg = changed_config(USE_CHECKPOINT=False, CHECKPOINT_NUM=[1, 0, 2, 0])
    assert Uniformer.from_config(cfg).checkpoint_num == (0, 0, 0, 0)


# ---------------------------------------------------------------- initialisation and regularisation


def test_initialisation():
    model = tiny_uniformer(split=True, embed_dim=(8, 16, 64, 128))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert not module.bias.any()
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm3d):
            assert (module.weight == 1).all()
            assert not module.bias.any()
    assert model.patch_embed1.norm.eps == 1e-5
    for block in [*model.blocks3, *model.blocks4]:
        assert {norm.eps for norm in (block.t_norm, block.norm1, block.norm2)} == {1e-6}
        assert not block.t_attn.qkv.weight.any()
        assert (block.t_attn.proj.weight == 1).all()
        for linear in (block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2):
            assert linear.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_a_fresh_divided_block_has_no_temporal_attention():
    torch.manual_seed(0)
    block = tiny_uniformer(split=True).blocks3[0]
    tokens = torch.randn(2, 6, 32)
    assert not block.t_attn(tokens).any()


def test_stochastic_depth_grows_linearly_over_all_blocks():
    model = tiny_uniformer(drop_depth_rate=0.5)
    blocks = [block for stage in (1, 2, 3, 4) for block in getattr(model, f"blocks{stage}")]
    assert [block.drop_path.drop_prob for block in blocks] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize("split", [False, True])
def test_stochastic_depth_draws_once_per_video(split):
    """A dropped branch is dropped for every token of the video: what each DropPath sees has the videos first."""
    model = tiny_uniformer(split=split, drop_depth_rate=0.5).train()
    first_axes = []
    for module in model.modules():
        if isinstance(module, DropPath):
            module.register_forward_hook(lambda _module, inputs, _output: first_axes.append(inputs[0].shape[0]))
    model(torch.randn(3, 3, 4, 32, 64))
    num_global_branches = 3 if split else 2
    assert first_axes == [3] * (3 * 2 + 3 * num_global_branches)


@pytest.mark.parametrize("rate", ["dropout_rate", "attention_dropout_rate"])
def test_dropout_acts_in_training_only(rate):
    model, clips = tiny_uniformer(**{rate: 0.5}), torch.randn(2, 3, 4, 32, 32)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 0.0  # the two training passes leave the statistics of the eval passes alone
    assert not torch.equal(model.train()(clips), model(clips))
    assert torch.equal(model.eval()(clips), model(clips))
    torch.testing.assert_close(model(clips), use_reference(model)(clips), rtol=1e-4, atol=1e-5)


def test_every_dropout_and_stochastic_depth_module_is_used():
    model = tiny_uniformer(split=True)
    unused = {name for name, module in model.named_modules() if isinstance(module, nn.Dropout | DropPath)}
    for name in list(unused):
        model.get_submodule(name).register_forward_hook(lambda *_args, name=name: unused.discard(name))
    model(torch.randn(2, 3, 4, 32, 32))
    assert not unused


# ---------------------------------------------------------------- activation checkpointing


def test_checkpointing_changes_neither_outputs_nor_gradients_nor_statistics():
    clips = torch.randn(3, 3, 4, 32, 32)
    outcomes = []
    plain = randomise(tiny_uniformer(drop_depth_rate=0.4, dropout_rate=0.1))
    for checkpoint_num in [(0, 0, 0, 0), (1, 1, 2, 0)]:
        model = copy.deepcopy(plain).train()
        model.checkpoint_num = checkpoint_num
        torch.manual_seed(1)
        logits = model(clips)
        logits.square().sum().backward()
        grads = {name: parameter.grad for name, parameter in model.named_parameters()}
        outcomes.append((logits, grads, model.state_dict()))
        assert all(m.track_running_stats for m in model.modules() if isinstance(m, nn.BatchNorm3d))
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("checkpoint_num", [(0, 0, 0, 0), (1, 1, 2, 0), (2, 0, 0, 1)])
def test_the_first_blocks_of_each_stage_are_computed_twice(checkpoint_num):
    model = tiny_uniformer(checkpoint_num=checkpoint_num).train()
    num_calls = []
    for stage in (1, 2, 3, 4):
        for block in getattr(model, f"blocks{stage}"):
            assert isinstance(block, LocalBlock if stage <= 2 else GlobalBlock)
            norm, count = block.norm1, len(num_calls)
            num_calls.append(0)

            def count_call(*_args, count=count):
                num_calls[count] += 1

            norm.register_forward_hook(count_call)
    clips = torch.randn(2, 3, 4, 32, 32)
    model(clips).sum().backward()
    expected = [
        2 if idx < n else 1
        for n, depth in zip(checkpoint_num, TINY_UNIFORMER["depth"], strict=True)
        for idx in range(depth)
    ]
    assert num_calls == expected


def test_attention_is_over_the_whole_sequence():
    torch.manual_seed(0)
    attention = Attention(32, head_dim=16, qkv_bias=True, qkv_scale=None, attention_dropout_rate=0.0, dropout_rate=0.0)
    tokens = torch.randn(1, 6, 32, requires_grad=True)
    (grad,) = torch.autograd.grad(attention(tokens)[0, 0].sum(), tokens)
    assert (grad.abs().sum(-1) > 0).all()
