"""What every registered model has to be, whatever its family."""

import copy

import pytest
import torch
from torch import nn

from slowfast.config import load_config
from slowfast.errors import UserError
from slowfast.models import MODEL_REGISTRY, VideoModel, build_model, logits_of_heads, use_reference
from tests.models.tiny_models import FREEZE, all_tiny_models, arrangement_names
from tests.models.weights.layouts import golden_weights, tiny_cfg
from tests.registration import registered

NUM_CLASSES = 5
every_model = pytest.mark.parametrize("keys", [keys for _, keys in all_tiny_models()], ids=arrangement_names())

pytestmark = pytest.mark.usefixtures("one_thread")


def built(keys: dict, **changes: object) -> VideoModel:
    """A model whose weights are all away from their initial values."""
    torch.manual_seed(0)
    model = build_model(tiny_cfg(keys, **changes))
    model.load_state_dict(golden_weights(model))
    return model


def clips_for(keys: dict, num_videos: int = 2) -> torch.Tensor:
    side = keys["DATA.TRAIN_CROP_SIZE"]
    return torch.randn(num_videos, 3, 4, side, side, generator=torch.Generator().manual_seed(1))


def first_classifier(model: VideoModel) -> nn.Module:
    """The one whose logits count in evaluation."""
    found = model.get_classifier()
    assert isinstance(found, tuple) == (len(model.classifier_names) > 1)
    return found[0] if isinstance(found, tuple) else found


def all_logits(model: VideoModel, clips: torch.Tensor) -> torch.Tensor:
    """Those of all heads, one after the other; in training there is one tensor for each."""
    heads = logits_of_heads(model(clips))
    assert len(heads) == (len(model.classifier_names) if model.training else 1)
    return torch.cat(heads)


@every_model
def test_forward_is_the_head_of_the_features(keys):
    model, clips = built(keys).eval(), clips_for(keys)
    with torch.no_grad():
        features = model.forward_features(clips)
        logits, pooled = model.forward_head(features), model.forward_head(features, pre_logits=True)
        torch.testing.assert_close(model(clips), logits, rtol=0, atol=0)
        assert logits.shape == (2, NUM_CLASSES) and model.num_classes == NUM_CLASSES
        assert pooled.shape == (2, model.num_features)
        torch.testing.assert_close(first_classifier(model)(pooled), logits)


@every_model
def test_intermediates_are_volumes_of_the_blocks_asked_for(keys):
    model, clips = built(keys).eval(), clips_for(keys)
    last = model.num_layers - 1
    with torch.no_grad():
        volumes = model.forward_intermediates(clips, range(model.num_layers))
        assert len(volumes) == model.num_layers
        assert all(volume.ndim == 5 and volume.shape[0] == 2 for volume in volumes)
        assert volumes[-1].shape[1] == model.num_features
        assert len({volume.double().sum().item() for volume in volumes}) == model.num_layers  # no two are one
        reordered = model.forward_intermediates(clips, [last, 0, -1, 0])
        for volume, layer in zip(reordered, [last, 0, last, 0], strict=True):
            torch.testing.assert_close(volume, volumes[layer], rtol=0, atol=0)
        assert model.forward_intermediates(clips, []) == []


@every_model
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_block_that_is_not_there_is_refused(keys, beyond):
    model = built(keys)
    layer = model.num_layers if beyond else -model.num_layers - 1
    accepted = f"accepted: {-model.num_layers} to {model.num_layers - 1}"
    with pytest.raises(UserError, match=rf"of {model.num_layers} blocks has no block {layer}; {accepted}"):
        model.forward_intermediates(clips_for(keys), [0, layer])


@every_model
def test_every_trained_parameter_gets_a_gradient(keys):
    model = built(keys).train()
    all_logits(model, clips_for(keys)).square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@every_model
def test_recomputation_changes_nothing_but_memory(keys):
    results = []
    for enable in (False, True, None):
        model = built(keys).train()
        if enable is not None:
            model.set_grad_checkpointing(True)
            model.set_grad_checkpointing(enable)
        torch.manual_seed(1)
        logits = all_logits(model, clips_for(keys))
        logits.sum().backward()
        results.append([logits, *(p.grad for p in model.parameters()), *model.buffers()])
    for other in results[:2]:
        for tensor, expected in zip(other, results[2], strict=True):
            torch.testing.assert_close(tensor, expected)


@every_model
def test_recomputation_keeps_fewer_activations(keys):
    kept = {}
    for enable in (False, True):
        model, sizes = built(keys).train(), []
        model.set_grad_checkpointing(enable)
        with torch.autograd.graph.saved_tensors_hooks(lambda x, sizes=sizes: sizes.append(x.numel()) or x, lambda x: x):
            model(clips_for(keys))
        kept[enable] = sum(sizes)
    assert kept[True] < kept[False]


@every_model
def test_in_the_reference_every_module_runs_and_the_contract_holds(keys):
    model, clips = built(keys).eval(), clips_for(keys)
    reference = use_reference(model)
    assert list(reference.state_dict()) == list(model.state_dict())
    assert reference.load_state_dict(model.state_dict()) == ([], [])
    idle = {name for name, module in reference.named_modules() if any(True for _ in module.parameters(recurse=False))}
    for name, module in reference.named_modules():
        module.register_forward_hook(lambda _module, _args, _output, name=name: idle.discard(name))
    with torch.no_grad():
        expected = model(clips)
        assert (reference(clips) - expected).abs().max() <= 1e-5 * expected.abs().max()
        volumes = (each.forward_intermediates(clips, range(model.num_layers)) for each in (model, reference))
        torch.testing.assert_close(*volumes, rtol=1e-3, atol=1e-4)
    sizes = [sum(parameter.numel() for parameter in each.backbone_parameters()) for each in (model, reference)]
    assert sizes[0] == sizes[1]
    assert {reference.layer_idx(name) for name, _ in reference.named_parameters()} == set(range(model.num_layers + 2))
    reference.train()(clips)  # heads that only training reads
    assert idle == set()
    reference.eval().reset_classifier(3)
    assert reference(clips).shape == (2, 3)


@every_model
def test_layers_are_numbered_from_the_embedding_to_the_head(keys):
    model = built(keys)
    layers = {name: model.layer_idx(name) for name, _ in model.named_parameters()}
    assert set(layers.values()) == set(range(model.num_layers + 2))
    for classifier in model.classifier_names:
        assert layers[f"{classifier}.weight"] == model.num_layers + 1


@every_model
def test_the_backbone_is_all_or_part_of_what_is_no_classifier(keys):
    model = built(keys)
    backbone = {id(parameter) for parameter in model.backbone_parameters()}
    assert backbone and len(backbone) == len(model.backbone_parameters())
    own = {id(parameter) for parameter in model.parameters()}
    heads = {id(p) for name in model.classifier_names for p in model.get_submodule(name).parameters()}
    assert backbone <= own - heads


@every_model
def test_a_frozen_backbone_stays_as_it_is(keys):
    model = built(keys).train()
    model.freeze_backbone()
    all_logits(model, clips_for(keys)).sum().backward()
    frozen = {id(parameter) for parameter in model.backbone_parameters()}
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in frozen), name


@pytest.mark.parametrize("name", FREEZE)
def test_a_config_may_freeze_the_backbone(name):
    keys = dict(next(keys for model, keys in all_tiny_models() if model == name)) | FREEZE[name]
    model = built(keys)
    assert not any(parameter.requires_grad for parameter in model.backbone_parameters())
    assert any(parameter.requires_grad for parameter in model.parameters())


@every_model
def test_a_reset_classifier_is_fresh_and_the_rest_stays(keys):
    model, clips = built(keys).double().eval(), clips_for(keys).double()
    before = copy.deepcopy(model.state_dict())
    model.reset_classifier(7)
    assert model.num_classes == 7
    assert model(clips).shape == (2, 7) and model(clips).dtype == torch.float64
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"{name}.{kind}" for name in model.classifier_names for kind in ("weight", "bias")}
    model.reset_classifier(0)
    assert model.num_classes == 0 and isinstance(first_classifier(model), nn.Identity)
    pooled = model.forward_head(model.forward_features(clips), pre_logits=True)
    torch.testing.assert_close(model(clips), pooled, rtol=0, atol=0)
    with pytest.raises(UserError, match="num_classes is -1; accepted: at least 0"):
        model.reset_classifier(-1)


@every_model
def test_a_reset_classifier_starts_as_a_built_one_does(keys):
    """The same distribution: the mean of the squares of 40,000 draws is known to about 1 %."""
    num_classes = 40_000 // built(keys).num_features
    fresh, model = built_fresh(keys, num_classes), built(keys)
    model.reset_classifier(num_classes)
    fresh, again = first_classifier(fresh), first_classifier(model)
    assert again.weight.square().mean().item() == pytest.approx(fresh.weight.square().mean().item(), rel=0.05)
    assert again.bias.square().mean().item() == pytest.approx(fresh.bias.square().mean().item(), rel=0.3)


def built_fresh(keys: dict, num_classes: int) -> VideoModel:
    return build_model(tiny_cfg(keys, MODEL__NUM_CLASSES=num_classes))


def test_only_video_models_are_registered():
    with pytest.raises(UserError, match=r"^MODEL registry: .*Linear.* is no subclass of slowfast\.models\.VideoModel$"):
        MODEL_REGISTRY.register(nn.Linear)


@pytest.mark.parametrize(
    ("classifier_names", "num_logits", "told"),
    [
        (["head"], 5, "head of Odd puts out 5 logits, but MODEL.NUM_CLASSES is 3"),
        (["fc"], 3, "Odd has no module 'fc'; its classifier_names name the layers that put out logits"),
    ],
)
def test_a_model_whose_logits_are_not_the_classes_is_refused(classifier_names, num_logits, told):
    """Else it trains, and what it reports is wrong, or it fails when its classifier is asked for."""

    class Odd(VideoModel):
        @classmethod
        def from_config(cls, cfg):
            model = cls()
            model.classifier_names, model.head = classifier_names, nn.Linear(4, num_logits)
            return model

    with registered(MODEL_REGISTRY, Odd), pytest.raises(UserError) as error:
        build_model(load_config(None, ["MODEL.MODEL_NAME", "Odd", "MODEL.NUM_CLASSES", 3]))
    assert str(error.value) == told


def test_a_model_without_numbered_layers_says_so():
    with pytest.raises(UserError, match=r"^SOLVER\.LAYER_DECAY: the layers of VideoModel are not numbered"):
        VideoModel().layer_idx("weight")
