"""tools/convert_weights.py: checkpoints for other code bases, in their order of classes."""

import re

import pytest
import torch

from slowfast.datasets.labels import class_key, load_label_list
from slowfast.errors import UserError
from slowfast.models.weights.export import convert_checkpoint
from slowfast.models.weights.load import load_source
from tests.command_line import run_tool
from tests.models.weights.layouts import golden_weights, mmaction2_names, rules, saved, tiny_v1, tiny_v2

HEADS = {"v1": "head", "v2": "backbone.transformer.proj.2"}
UNIFORMER, ALPHABETICAL = load_label_list("kinetics400_uniformer"), load_label_list("kinetics400_alphabetical")


def model_and_weights(family, num_classes, **changes):
    """A model, and weights whose head tells the number of each row."""
    model = (tiny_v1 if family == "v1" else tiny_v2)(MODEL__NUM_CLASSES=num_classes, **changes)
    weights = golden_weights(model)
    weights[f"{HEADS[family]}.bias"] = torch.arange(num_classes, dtype=torch.float32)
    return model, weights


def convert(source, target, form, **changes):
    return convert_checkpoint(source, target, form=form, load_list=load_label_list, class_key=class_key, **changes)


@pytest.mark.parametrize("family", HEADS)
def test_from_the_authors_to_mmaction2_and_back(tmp_path, family):
    _, weights = model_and_weights(family, 400)
    source, ported, back = saved(tmp_path, {"model_state": weights}), tmp_path / "ported.pth", tmp_path / "back.pyth"
    lines = convert(source, ported, "mmaction2")
    assert "classifier: 400 of 400 rows, in the order kinetics400_alphabetical" in lines[1]
    content = torch.load(ported, weights_only=True)
    assert set(content["state_dict"]) == set(mmaction2_names(weights))
    rows = content["state_dict"]["cls_head.fc_cls.bias"].int().tolist()
    assert [class_key(UNIFORMER[row]) for row in rows] == [class_key(name) for name in ALPHABETICAL]
    convert(str(ported), back, "authors")
    returned = torch.load(back, weights_only=True)["model_state"]
    assert set(returned) == set(weights)
    assert all(torch.equal(value, weights[name]) for name, value in returned.items())


@pytest.mark.parametrize("suffix", [".pyth", ".safetensors"])
def test_to_ours_with_class_names(tmp_path, suffix):
    model, weights = model_and_weights("v2", 400)
    target = tmp_path / f"ours{suffix}"
    convert(saved(tmp_path, {"state_dict": mmaction2_names(weights)}), target, "ours")
    report = load_source(model, str(target), rules(ALPHABETICAL))
    assert report.layout == "a checkpoint of this project"
    assert model.backbone.transformer.proj[2].bias.tolist() == list(range(400))
    load_source(model, str(target), rules(UNIFORMER))
    rows = model.backbone.transformer.proj[2].bias.int().tolist()
    assert [class_key(ALPHABETICAL[row]) for row in rows] == [class_key(name) for name in UNIFORMER]


def test_a_part_of_kinetics_710(tmp_path):
    _, weights = model_and_weights("v2", 710)
    source, target = saved(tmp_path, {"model_state": weights}), tmp_path / "out.pth"
    keep = {"classes": "kinetics600_alphabetical", "source_classes": "kinetics710_uniformer"}
    convert(source, target, "mmaction2", **keep)
    rows = torch.load(target, weights_only=True)["state_dict"]["cls_head.fc_cls.bias"].int().tolist()
    names = load_label_list("kinetics710_uniformer")
    assert [class_key(names[row]) for row in rows] == [*map(class_key, load_label_list("kinetics600_alphabetical"))]
    with pytest.raises(UserError, match=r"\d+ classes of ucf101 have no row in it, such as 'ApplyEyeMakeup'"):
        convert(source, target, "authors", classes="ucf101")


def test_an_order_that_the_authors_did_not_publish_is_to_be_confirmed(tmp_path):
    """The file that is written would not tell any more that it was assumed."""
    for num_classes, file_name, listed in (
        (710, "k710.pyth", "kinetics710_uniformer"),
        (339, "mit.pyth", "moments_in_time_v1"),
        (200, "anet_l14.pyth", "activitynet200"),
    ):
        _, weights = model_and_weights("v2", num_classes)
        source, target = saved(tmp_path, {"model_state": weights}, file_name), tmp_path / "out.pyth"
        count = num_classes - 400 if num_classes == 710 else num_classes
        told = f"publish the order of {count} of these classes.*confirm it with --source-classes {listed}$"
        for form in ("ours", "mmaction2"):
            with pytest.raises(UserError, match=told):
                convert(source, tmp_path / "refused.pyth", form)
        assert "assumed" not in "".join(convert(source, target, "ours", source_classes=listed))
        lines = convert(str(target), tmp_path / "back.pyth", "authors")
        assert f"in the order {listed}, {count} of them assumed from MMAction2's list" in lines[1]
    source = saved(tmp_path, {"model_state": model_and_weights("v2", 710)[1]}, "k710.pyth")
    convert(source, target, "ours", classes="kinetics400_uniformer")  # the order of these is known
    assert not (tmp_path / "refused.pyth").exists()


def test_a_frozen_model_goes_to_mmaction2_and_back(tmp_path):
    _, weights = model_and_weights("v2", 400, UNIFORMERV2__FROZEN=True)
    ported, back = tmp_path / "ported.pth", tmp_path / "back.pyth"
    convert(saved(tmp_path, weights), ported, "mmaction2")
    assert (torch.load(ported, weights_only=True)["state_dict"]["backbone.transformer.balance"] == -1e4).all()
    assert any("balance left out" in line for line in convert(str(ported), back, "authors"))
    assert set(torch.load(back, weights_only=True)["model_state"]) == set(weights)


def test_own_classes_keep_their_order(tmp_path):
    _, weights = model_and_weights("v1", 5)
    source = saved(tmp_path, {"model_state": weights, "class_names": list("edcba"), "config": ""})
    target = tmp_path / "out.pth"
    assert "in the source's order" in convert(source, target, "mmaction2")[1]
    assert torch.load(target, weights_only=True)["state_dict"]["cls_head.fc_cls.bias"].tolist() == [0, 1, 2, 3, 4]
    (tmp_path / "classes.txt").write_text("a\nc\n")
    convert(source, target, "ours", classes=str(tmp_path / "classes.txt"))
    content = torch.load(target, weights_only=True)
    assert content["class_names"] == ["a", "c"]
    assert content["model_state"]["head.bias"].tolist() == [4, 2]


@pytest.mark.parametrize(
    ("num_classes", "told"),
    [(700, "the order of its 700 classes is not known"), (174, "give --source-classes: something_something_v1 or")],
)
def test_an_unknown_order_is_refused(tmp_path, num_classes, told):
    _, weights = model_and_weights("v2", num_classes)
    source, target = saved(tmp_path, {"model_state": weights}), tmp_path / "out.pth"
    with pytest.raises(UserError, match=told):
        convert(source, target, "mmaction2")
    assert not target.exists()


def test_the_authors_order_of_kinetics_700_is_not_made_up(tmp_path):
    _, weights = model_and_weights("v2", 700)
    source = saved(tmp_path, {"state_dict": mmaction2_names(weights)})
    with pytest.raises(UserError, match=r"not published; give --classes"):
        convert(source, tmp_path / "out.pyth", "authors")
    convert(source, tmp_path / "out.pyth", "authors", classes="kinetics700_alphabetical")


def test_lists_of_several_orders_stay_as_they_are(tmp_path):
    _, weights = model_and_weights("v2", 174)
    source, target = saved(tmp_path, {"model_state": weights}, "sthv1_b16.pyth"), tmp_path / "out.pth"
    assert "in the order something_something_v1" in convert(source, target, "mmaction2")[1]


@pytest.mark.parametrize(
    ("keys", "told"), [({"UNIFORMER__SPLIT": True}, "UNIFORMER.SPLIT"), ({"UNIFORMER__STD": True}, "UNIFORMER.STD")]
)
def test_what_mmaction2_does_not_build(tmp_path, keys, told):
    _, weights = model_and_weights("v1", 400, **keys)
    with pytest.raises(UserError, match=told):
        convert(saved(tmp_path, weights), tmp_path / "out.pth", "mmaction2")


def test_other_code_has_no_other_vits(tmp_path):
    _, weights = model_and_weights("v2", 5)
    config = "MODEL: {MODEL_NAME: Uniformerv2}\nUNIFORMERV2: {ACTIVATION: gelu}"
    source = saved(tmp_path, {"model_state": weights, "class_names": list("abcde"), "config": config})
    with pytest.raises(UserError, match="authors has no UniFormerV2 of another ViT than CLIP's"):
        convert(source, tmp_path / "out.pth", "authors")
    convert(source, tmp_path / "ours.pyth", "ours")
    with pytest.raises(UserError, match=r"set UNIFORMERV2.ACTIVATION gelu"):
        load_source(tiny_v2(), str(tmp_path / "ours.pyth"), rules(list("abcde")))


def test_image_weights_are_not_converted(tmp_path):
    with pytest.raises(UserError, match="only whole checkpoints of the video models are converted"):
        convert(saved(tmp_path, {"a": torch.ones(1)}), tmp_path / "out.pth", "ours")


def test_the_tool_writes_a_file_and_says_what_the_source_is(tmp_path):
    _, weights = model_and_weights("v1", 400)
    target = tmp_path / "out.pth"
    outcome = run_tool("convert_weights", saved(tmp_path, weights), target, "--to", "mmaction2")
    assert outcome.code == 0 and "the authors' UniFormer" in outcome.out
    assert target.is_file()


def test_the_tools_mistakes_are_one_line(tmp_path):
    _, weights = model_and_weights("v1", 400)
    source, target = saved(tmp_path, weights), tmp_path / "out.pth"
    for arguments, told in (
        ((source, target, "--to", "ours", "--source-classes", "ucf101"), "has 400 classes, but ucf101 lists 101"),
        ((source, "/nowhere/out.pth", "--to", "ours"), "there is no folder /nowhere; make it first"),
        ((tmp_path / "absent.pth", target, "--to", "ours"), "no such checkpoint file"),
    ):
        outcome = run_tool("convert_weights", *arguments)
        assert outcome.code == 1 and re.search(f"{told}$", outcome.error), outcome.err
