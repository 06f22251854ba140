"""Models by name, without a config."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import slowfast
from slowfast.errors import UserError
from slowfast.models import MODEL_REGISTRY, VideoModel
from tests.models.weights.layouts import TINY_V2, golden_weights, tiny_v2
from tests.registration import registered

TINY = [word for pair in TINY_V2.items() if pair[0] != "MODEL.NUM_CLASSES" for word in pair]
TINY += ["UNIFORMERV2.NO_LMHRA", False]


def test_the_listed_models_are_the_configs_of_models():
    assert {
        "uniformer_s",
        "uniformer_b",
        "uniformer_xxs",
        "uniformer_xs",
        "uniformerv2_b16",
        "uniformerv2_l14",
        "uniformerv2_l14_336",
    } <= {*slowfast.list_models()}


@pytest.mark.parametrize("name", slowfast.list_models())
def test_every_listed_model_is_built(name: str):
    with torch.device("meta"):
        model = slowfast.create_model(name, num_classes=7, num_frames=16)
    assert model.num_classes == 7
    assert {model.get_submodule(head).out_features for head in model.classifier_names} == {7}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"num_classes": 3, "overrides": ["MODEL.NUM_CLASSES", 7]}, "num_classes is 3, and overrides have MODEL"),
        ({"num_frames": 8, "overrides": ["DATA.NUM_FRAMES", 4]}, "num_frames is 8, and overrides have DATA"),
        ({"overrides": ["MODEL.MODEL_NAME", "Uniformer"]}, "name is 'uniformerv2_tiny', and overrides have MODEL"),
    ],
)
def test_what_two_arguments_say_is_refused(arguments, told):
    """Else one of them would have no effect, without a word."""
    with pytest.raises(UserError, match=rf"^create_model: {told}.*; leave one of them out$"):
        slowfast.create_model("uniformerv2_tiny", **arguments)


@pytest.mark.parametrize("name", ["", "Uniformerv2", None, 3])
def test_a_name_that_is_none_is_told(name):
    with pytest.raises(UserError, match=rf"^create_model: there is no model {name!r}; the nearest are uniformer"):
        slowfast.create_model(name)


def test_a_model_without_weights_starts_at_random_in_training_mode():
    model = slowfast.create_model("uniformerv2_b16", overrides=TINY)
    assert model.training and model.num_classes == 400
    assert not model.backbone.transformer.balance.any()


@pytest.mark.parametrize(
    ("asked", "expected", "is_kept"), [(None, 5, True), (5, 5, True), (3, 3, False), (0, 0, False)]
)
def test_the_classifier_of_weights_stays_or_starts_afresh(tmp_path, asked, expected, is_kept):
    weights = golden_weights(tiny_v2())
    torch.save({"model_state": weights}, tmp_path / "a.pyth")
    model = slowfast.create_model(
        "uniformerv2_b16", num_classes=asked, weights=str(tmp_path / "a.pyth"), overrides=TINY
    )
    assert model.num_classes == expected
    assert model(torch.randn(1, 3, 2, 16, 16)).shape == (1, expected or 24)
    head = "backbone.transformer.proj.2.weight"
    assert torch.equal(model.state_dict()["backbone.conv1.weight"], weights["backbone.conv1.weight"])
    assert (expected == 5 and torch.equal(model.state_dict()[head], weights[head])) is is_kept


def test_the_classes_of_weights_are_the_rows_of_the_models_own_classifier(tmp_path):
    """What another family calls its classifier may be any layer in this one."""

    class Necked(VideoModel):
        classifier_names = ("fc",)

        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.num_features, self.num_classes, self.num_layers = 3, num_classes, 0
            self.head, self.fc = nn.Linear(3, 9), nn.Linear(9, num_classes)

        @classmethod
        def from_config(cls, cfg):
            return cls(cfg.MODEL.NUM_CLASSES)

    torch.save({"model_state": Necked(4).state_dict()}, tmp_path / "a.pyth")
    with registered(MODEL_REGISTRY, Necked):
        model = slowfast.create_model("Necked", weights=str(tmp_path / "a.pyth"))
    assert model.num_classes == 4


def test_weights_whose_classifier_is_no_matrix_are_told(tmp_path):
    weights = golden_weights(tiny_v2()) | {"backbone.transformer.proj.2.weight": torch.tensor(1.0)}
    torch.save(weights, tmp_path / "a.pyth")
    with pytest.raises(UserError, match=r"a\.pyth"):
        slowfast.create_model("uniformerv2_b16", weights=str(tmp_path / "a.pyth"), overrides=TINY)


def test_unknown_names_and_keys_are_told():
    with pytest.raises(UserError, match=r"there is no model 'uniformer_v2_b16'; the nearest are uniformerv2_b16"):
        slowfast.create_model("uniformer_v2_b16")
    with pytest.raises(UserError, match=r"unknown key UNIFORMERV2\.FROZN; the nearest known key is"):
        slowfast.create_model("uniformerv2_b16", overrides=["UNIFORMERV2.FROZN", True])
    with pytest.raises(UserError, match=r"MODEL\.NUM_CLASSES is -1; accepted: 1 to 1000000"):
        slowfast.create_model("uniformerv2_b16", num_classes=-1)
    with pytest.raises(UserError, match=r"none\.pyth: no such checkpoint file"):
        slowfast.create_model("uniformerv2_b16", weights="none.pyth")
    with pytest.raises(AttributeError, match="module 'slowfast' has no attribute 'creat_model'"):
        slowfast.creat_model  # noqa: B018


def test_the_face_of_the_package_and_its_config_import_no_torch():
    code = "import slowfast, slowfast.config, sys; print('create_model' in dir(slowfast), 'torch' in sys.modules)"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout.split() == ["True", "False"]
