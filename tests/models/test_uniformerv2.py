"""UniFormerV2: the published function, its initialisation, and what each key switches."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.config import get_cfg, load_config
from slowfast.errors import UserError
from slowfast.models import build_model
from slowfast.models.layers import QuickGELU
from slowfast.models.reference import use_reference
from slowfast.models.uniformerv2_blocks import (
    CrossAttention,
    GlobalUniBlock,
    LocalTemporalAttention,
    LocalUniBlock,
    feed_forward,
    patch_volume,
)
from tests.golden_rule import golden_input, golden_state_dict, load_golden, relative_l2
from tests.models.published_gradients import published_gradients
from tests.models.tiny_models import tiny_uniformerv2


def randomize(model: nn.Module) -> nn.Module:
    """Move every parameter away from its initial value, zeros above all."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize(
    "name",
    [
        "uniformerv2_b16_k400_8x224",
        "uniformerv2_b16_frozen_8x224",
        "uniformerv2_b16_ssv2_16x224",
    ],
)
@pytest.mark.slow
def test_golden_logits(name):
    golden = load_golden(name)
    model = build_model(load_config(None, [word for pair in golden["config"].items() for word in pair])).eval()
    assert [[key, list(value.shape)] for key, value in model.state_dict().items()] == golden["state_dict"]
    assert sum(parameter.numel() for parameter in model.parameters()) == golden["params"]
    model.load_state_dict(golden_state_dict(golden["state_dict"]), strict=True)
    with torch.no_grad():
        logits = model(golden_input(golden["input_shape"]))
    assert relative_l2(logits, torch.tensor(golden["logits"])) < 1e-4


@pytest.mark.parametrize(
    "backbone, width, depth, heads, count",
    [
        ("uniformerv2_b16", 768, 12, 12, 114_552_208),
        ("uniformerv2_l14", 1024, 24, 16, None),
        ("uniformerv2_l14_336", 1024, 24, 16, None),
    ],
)
def test_published_sizes(backbone, width, depth, heads, count):
    keys = ["UNIFORMERV2.BACKBONE", backbone, "UNIFORMERV2.N_DIM", width, "UNIFORMERV2.N_HEAD", heads]
    keys += ["UNIFORMERV2.RETURN_LIST", list(range(depth - 4, depth)), "UNIFORMERV2.NO_LMHRA", True]
    keys += ["UNIFORMERV2.TEMPORAL_DOWNSAMPLE", False, "DATA.TEST_CROP_SIZE", 224]
    with torch.device("meta"):
        model = build_model(load_config(None, keys))
    grid = (336 if "336" in backbone else 224) // (16 if "b16" in backbone else 14)
    assert model.backbone.positional_embedding.shape == (grid**2 + 1, width)
    assert len(model.backbone.transformer.resblocks) == depth
    if count is not None:
        assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_cross_attention_equals_its_reference_forward_and_backward():
    torch.manual_seed(0)
    attention = randomize(CrossAttention(24, 4)).double()
    query = torch.randn(2, 1, 24, dtype=torch.float64, requires_grad=True)
    tokens = torch.randn(2, 50, 24, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, 24, dtype=torch.float64)
    results = []
    for module in (attention, use_reference(attention)):
        query.grad = tokens.grad = None
        output = module(query, tokens)
        (output * weight).sum().backward()
        results.append([output, query.grad, tokens.grad, *published_gradients(module).values()])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)


def test_cross_attention_equals_multihead_attention_of_torch():
    torch.manual_seed(0)
    attention = randomize(CrossAttention(24, 4)).double()
    reference = nn.MultiheadAttention(24, 4, batch_first=True).double()
    reference.load_state_dict(attention.state_dict())
    query, tokens = torch.randn(2, 1, 24).double(), torch.randn(2, 50, 24).double()
    torch.testing.assert_close(attention(query, tokens), reference(query, tokens, tokens)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"UNIFORMERV2__NO_LMHRA": True},
        {"UNIFORMERV2__DOUBLE_LMHRA": False, "UNIFORMERV2__TEMPORAL_DOWNSAMPLE": True},
        {"UNIFORMERV2__FROZEN": True, "UNIFORMERV2__NO_LMHRA": True},
        {"UNIFORMERV2__ACTIVATION": "gelu", "UNIFORMERV2__PRE_NORM": False, "UNIFORMERV2__NORM_EPS": 1e-6},
    ],
    ids=["default", "no_lmhra", "downsample", "frozen", "gelu"],
)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_outputs_and_gradients_equal_the_reference(keys, training):
    keys = keys | {"UNIFORMERV2__MLP_DROPOUT": [0.0, 0.0], "UNIFORMERV2__CLS_DROPOUT": 0.0}
    model = randomize(tiny_uniformerv2(**keys)).double().train(training)
    clips = torch.randn(2, 3, 4, 16, 16, dtype=torch.float64)
    weights = torch.randn(2, 5, dtype=torch.float64)
    results = []
    for each in (model, use_reference(model)):
        logits = each(clips)
        (weights * logits).sum().backward()
        results.append([logits, *published_gradients(each).values()])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dropout", [None, 0.5])
def test_feed_forward_equals_its_layers_forward_and_backward(dropout):
    torch.manual_seed(0)
    layers = randomize(feed_forward(6, 24, dropout=dropout)).double()
    assert isinstance(layers.gelu, QuickGELU)
    x = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, 6, dtype=torch.float64)
    results = []
    for function in (layers, nn.Sequential(*layers)):
        torch.manual_seed(1)
        output = function(x)
        results.append([output, *torch.autograd.grad((output * weight).sum(), [x, *layers.parameters()])])
    for ours, sequential in zip(*results, strict=True):
        torch.testing.assert_close(ours, sequential, rtol=1e-10, atol=1e-12)


def test_zero_initialised_parts():
    transformer = tiny_uniformerv2().backbone.transformer
    assert not transformer.temporal_cls_token.any()
    assert not transformer.balance.any()
    for conv in transformer.dpe:
        assert not conv.bias.any()
        assert conv.weight.any()
    for block in transformer.dec:
        assert not block.attn.out_proj.weight.any()
        assert not block.mlp.c_proj.weight.any()
        bound = (6 / (3 * 24 + 24)) ** 0.5  # Xavier uniform of (3C, C)
        assert 0.9 * bound < block.attn.in_proj_weight.abs().max() <= bound
        bound = (6 / (4 * 24 + 24)) ** 0.5
        assert 0.9 * bound < block.mlp.c_fc.weight.abs().max() <= bound
    for block in transformer.resblocks:
        for local in (block.lmhra1, block.lmhra2):
            assert not local.pos_embed[3].weight.any()
            assert not local.pos_embed[3].bias.any()


def test_at_first_the_output_is_the_mean_of_the_frames_class_tokens():
    """Temporal parts start at zero: each frame passes the image ViT by itself, and half the mean is the output."""
    torch.manual_seed(0)
    model = tiny_uniformerv2().eval()
    clips = torch.randn(2, 3, 4, 16, 16)
    transformer = model.backbone.transformer
    with torch.no_grad():
        captured = []
        transformer.proj.register_forward_pre_hook(lambda module, args: captured.append(args[0]))
        model(clips)
        model(clips[:, :, :1])
        model(clips[:, :, 1:2])
        model(clips[:, :, 2:3])
        model(clips[:, :, 3:4])
    torch.testing.assert_close(captured[0], torch.stack(captured[1:]).mean(0), rtol=1e-5, atol=1e-6)


def test_local_block_follows_its_equations():
    torch.manual_seed(0)
    block = randomize(LocalUniBlock(24, 3, has_temporal=True)).double().eval()
    x = torch.randn(2, 3, 17, 24).double()

    def temporal(module: LocalTemporalAttention, x: Tensor) -> Tensor:
        norm, reduce, conv, expand = module.pos_embed
        volume = x[:, :, 1:].reshape(2, 3, 4, 4, 24).permute(0, 4, 1, 2, 3)
        volume = F.conv3d(norm(volume), reduce.weight, reduce.bias)
        volume = F.conv3d(volume, conv.weight, conv.bias, padding=(1, 0, 0), groups=16)
        change = F.conv3d(volume, expand.weight, expand.bias).permute(0, 2, 3, 4, 1).reshape(2, 3, 16, 24)
        return torch.cat([x[:, :, :1], x[:, :, 1:] + change], dim=2)

    reference = nn.MultiheadAttention(24, 3, batch_first=True).double()
    reference.load_state_dict(block.attn.state_dict())
    y = temporal(block.lmhra1, x)
    normed = block.ln_1(y).flatten(0, 1)
    y = y + reference(normed, normed, normed)[0].view_as(y)
    y = temporal(block.lmhra2, y)
    hidden = block.mlp.c_fc(block.ln_2(y))
    y = y + block.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))
    torch.testing.assert_close(block(x), y, rtol=1e-9, atol=1e-10)


def test_patch_volume_keeps_rows_and_columns():
    tokens = torch.arange(1 * 2 * 10).view(1, 2, 10, 1)
    volume = patch_volume(tokens)
    assert volume.shape == (1, 1, 2, 3, 3)
    assert volume[0, 0, 1].tolist() == [[11, 12, 13], [14, 15, 16], [17, 18, 19]]


@pytest.mark.parametrize("reduction, channels", [(1.5, 16), (1.7, 14), (2.0, 12)])
def test_reduced_channels_are_rounded_down(reduction, channels):
    assert LocalTemporalAttention(24, reduction).pos_embed[1].out_channels == channels


@pytest.mark.parametrize("no_lmhra, double, count", [(True, True, 0), (False, False, 1), (False, True, 2)])
def test_number_of_local_temporal_attentions(no_lmhra, double, count):
    model = tiny_uniformerv2(UNIFORMERV2__NO_LMHRA=no_lmhra, UNIFORMERV2__DOUBLE_LMHRA=double)
    assert sum(isinstance(module, LocalTemporalAttention) for module in model.modules()) == 3 * count


@pytest.mark.parametrize(
    "has_downsample, num_frames, expected",
    [
        (False, 4, 4),
        (False, 1, 1),
        (True, 4, 2),
        (True, 5, 3),
        (True, 1, 1),
    ],
)
def test_any_number_of_frames(has_downsample, num_frames, expected):
    model = tiny_uniformerv2(UNIFORMERV2__TEMPORAL_DOWNSAMPLE=has_downsample).eval()
    shapes = []
    model.backbone.transformer.resblocks[0].register_forward_pre_hook(lambda module, args: shapes.append(args[0].shape))
    assert model(torch.randn(2, 3, num_frames, 16, 16)).shape == (2, 5)
    assert shapes == [(2, expected, 17, 24)]


@pytest.mark.parametrize("size", [4, 12, 16, 20, 24])
def test_any_square_resolution_of_whole_patches(size):
    model = tiny_uniformerv2().eval()
    assert model(torch.randn(1, 3, 2, size, size)).shape == (1, 5)
    assert model.backbone.positional_embedding.shape == (17, 24)  # the parameter keeps its native grid


def test_positions_are_interpolated_as_an_image():
    backbone = tiny_uniformerv2().backbone
    grid = backbone.positional_embedding[1:].view(4, 4, 24).permute(2, 0, 1)[None]
    larger = F.interpolate(grid, size=(6, 6), mode="bicubic", align_corners=False)[0].permute(1, 2, 0).reshape(36, 24)
    torch.testing.assert_close(backbone.positions(6)[1:], larger)
    torch.testing.assert_close(backbone.positions(6)[0], backbone.positional_embedding[0])


@pytest.mark.parametrize(
    ("height", "width", "told"),
    [
        (16, 12, r"clips are 16 x 12 px; accepted: square frames \(DATA.TRAIN_CROP_SIZE, DATA.TEST_CROP_SIZE\)"),
        (2, 2, r"the side of clips is 2 px, no multiple of the patch of 4 px; the nearest multiples: 4 \(DATA.TRAIN"),
        (18, 18, r"the side of clips is 18 px, no multiple of the patch of 4 px; the nearest multiples: 16 and 20 \("),
    ],
)
def test_other_shapes_are_refused(height, width, told):
    with pytest.raises(ValueError, match=told):
        tiny_uniformerv2()(torch.randn(1, 3, 2, height, width))


def test_frozen_backbone_gets_no_gradient():
    model = tiny_uniformerv2(UNIFORMERV2__FROZEN=True, UNIFORMERV2__NO_LMHRA=True)
    assert model.backbone.transformer.balance is None
    assert not any("balance" in name for name in model.state_dict())
    randomize(model)(torch.randn(1, 3, 2, 16, 16)).sum().backward()
    frozen = {id(parameter) for parameter in model.backbone_parameters()}
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in frozen), name
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert {name.split(".")[2] for name in trained} == {"temporal_cls_token", "dpe", "dec", "proj"}


def test_all_parameters_learn_from_random_weights():
    model = randomize(tiny_uniformerv2()).train()
    model(torch.randn(2, 3, 4, 16, 16)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


def test_drop_path_rates_grow_linearly():
    model = tiny_uniformerv2(UNIFORMERV2__BACKBONE_DROP_PATH_RATE=0.2, UNIFORMERV2__DROP_PATH_RATE=0.4)
    transformer = model.backbone.transformer
    assert [block.drop_path.drop_prob for block in transformer.resblocks] == pytest.approx([0.0, 0.1, 0.2])
    assert [block.drop_path.drop_prob for block in transformer.dec] == pytest.approx([0.0, 0.4])


def test_drop_path_drops_whole_videos():
    torch.manual_seed(0)
    block = randomize(GlobalUniBlock(24, 3, drop_path=0.5)).train()
    query, tokens = torch.randn(1, 1, 24).expand(64, -1, -1), torch.randn(1, 9, 24).expand(64, -1, -1)
    distinct = block(query, tokens).detach().flatten(1).unique(dim=0)
    assert len(distinct) == 4  # each of the two residual branches is there or not
    block.eval()
    assert len(block(query, tokens).detach().flatten(1).unique(dim=0)) == 1


def test_dropout_rates_reach_their_layers():
    transformer = tiny_uniformerv2(
        UNIFORMERV2__MLP_DROPOUT=[0.1, 0.3], UNIFORMERV2__CLS_DROPOUT=0.7
    ).backbone.transformer
    assert [block.mlp.dropout.p for block in transformer.dec] == [0.1, 0.3]
    assert transformer.proj[1].p == 0.7


def test_rates_beyond_the_last_global_block_do_no_harm():
    transformer = tiny_uniformerv2(UNIFORMERV2__MLP_DROPOUT=[0.1, 0.3, 0.5]).backbone.transformer
    assert [block.mlp.dropout.p for block in transformer.dec] == [0.1, 0.3]


@pytest.mark.parametrize("style", ["video", "upstream"])
def test_checkpointing_changes_nothing_but_memory(style):
    drop_path = {"UNIFORMERV2__BACKBONE_DROP_PATH_RATE": 0.5, "UNIFORMERV2__DROP_PATH_STYLE": style}
    clips = torch.randn(2, 3, 4, 16, 16)
    results = []
    for keys in ({}, {"MODEL__USE_CHECKPOINT": True, "MODEL__CHECKPOINT_NUM": [3]}):
        torch.manual_seed(0)
        model = randomize(tiny_uniformerv2(**drop_path, **keys)).train()
        torch.manual_seed(1)
        output = model(clips)
        output.sum().backward()
        buffers = [buffer.clone() for buffer in model.buffers()]
        results.append([output, *(parameter.grad for parameter in model.parameters()), *buffers])
    assert len(results[0]) == len(results[1])
    for plain, checkpointed in zip(*results, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_unknown_model_is_refused():
    cfg = get_cfg()
    cfg.MODEL.MODEL_NAME = "ResNet"
    with pytest.raises(UserError, match=r"^MODEL.MODEL_NAME is 'ResNet'; accepted: Uniformer, .*, Uniformerv2; "):
        build_model(cfg)
