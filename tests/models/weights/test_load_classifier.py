"""The classifier of a checkpoint: whose rows go where, and what is refused; our own checkpoints carry their names."""

import logging

import pytest
import torch
from torch import nn

from slowfast.datasets.labels import load_label_list
from slowfast.errors import UserError
from slowfast.models.weights.load import load_source
from tests.models.weights.layouts import (
    golden_weights,
    mmaction2_names,
    rules,
    saved,
    tiny_v2,
)

V2_HEAD = "backbone.transformer.proj.2"
K400 = load_label_list("kinetics400_uniformer")


# ---------------------------------------------------------------- the classifier


def numbered_head(model, num_classes):
    """Weights whose head tells the number of each row in its bias."""
    weights = golden_weights(model)
    weights[f"{V2_HEAD}.weight"] = torch.arange(num_classes, dtype=torch.float32)[:, None].expand(-1, 24).clone()
    weights[f"{V2_HEAD}.bias"] = torch.arange(num_classes, dtype=torch.float32)
    return weights


def rows_of(model: nn.Module) -> list[int]:
    head = model.backbone.transformer.proj[2]
    assert (head.weight == head.bias[:, None]).all()
    return head.bias.int().tolist()


def test_rows_of_the_authors_are_mapped_to_an_alphabetical_list(tmp_path):
    names = load_label_list("kinetics400_alphabetical")
    model = tiny_v2(MODEL__NUM_CLASSES=400)
    report = load_source(model, saved(tmp_path, numbered_head(model, 400)), rules(names))
    assert [K400[row] for row in rows_of(model)] == names
    assert "400 rows mapped by name, by the order kinetics400_uniformer" in report.head.note


@pytest.mark.parametrize("size", [400, 600, 700])
@pytest.mark.parametrize("origin", ["authors", "mmaction2"])
def test_kinetics_710_heads_are_mapped(tmp_path, size, origin):
    names = load_label_list(f"kinetics{size}_alphabetical")
    theirs = load_label_list(f"kinetics710_{'uniformer' if origin == 'authors' else 'mmaction2'}")
    model = tiny_v2(MODEL__NUM_CLASSES=size)
    weights = numbered_head(model, 710)
    content = {"state_dict": mmaction2_names(weights)} if origin == "mmaction2" else {"model_state": weights}
    report = load_source(model, saved(tmp_path, content), rules(names, is_test=True))
    rows = rows_of(model)
    assert len(set(rows)) == size
    assert len(report.head.unused) == 710 - size
    for name, known in {"dying hair": "dyeing hair", "eating burger": "eating burger"}.items():
        if name in names:
            row = theirs[rows[names.index(name)]]
            assert row == (name if origin == "authors" else known)


def test_classes_without_a_row_start_afresh_and_are_reported(tmp_path):
    names = ["baking bricks", "riding a bike"]
    model = tiny_v2(MODEL__NUM_CLASSES=2)
    initial = model.backbone.transformer.proj[2].weight.clone()
    path = saved(tmp_path, numbered_head(model, 400))
    report = load_source(model, path, rules(names))
    torch.testing.assert_close(model.backbone.transformer.proj[2].weight[0], initial[0])
    assert model.backbone.transformer.proj[2].bias[1] == K400.index("riding a bike")
    assert report.head.fresh == ["baking bricks"]
    assert "classes without a row: 1 (baking bricks)" in "\n".join(report.lines())
    with pytest.raises(UserError, match=r"no class for 1 of the 2 in DATA\.CLASS_NAMES_FILE \(baking bricks\)"):
        load_source(tiny_v2(MODEL__NUM_CLASSES=2), path, rules(names, is_test=True))
    with pytest.raises(UserError, match=r"no class for 2 of the 2.*MODEL\.CHECKPOINT_CLASS_ORDER reset"):
        load_source(tiny_v2(MODEL__NUM_CLASSES=2), path, rules(["a", "b"]))


@pytest.mark.parametrize(
    ("num_classes", "file_name", "told"),
    [
        (700, "k700.pyth", "authors' order of Kinetics-700 is not published"),
        (174, "checkpoint.pyth", "something_something_v1 or something_something_v2"),
        (200, "hacs_uniformerv2_l14_16x224.pyth", "activitynet200"),
        (5, "mine.pyth", "a list or file of their names"),
    ],
)
def test_an_unknown_order_is_refused_although_the_numbers_are_equal(tmp_path, num_classes, file_name, told):
    model = tiny_v2(MODEL__NUM_CLASSES=num_classes)
    path = saved(tmp_path, numbered_head(model, num_classes), file_name)
    names = [f"class {idx}" for idx in range(num_classes)]
    with pytest.raises(UserError, match=told) as error:
        load_source(model, path, rules(names))
    assert "MODEL.CHECKPOINT_CLASS_ORDER" in str(error.value)
    assert "\n" not in str(error.value)
    for order, rows in (("same", list(range(num_classes))), ("reset", None)):
        report = load_source(model, path, rules(names, order=order))
        assert report.head.rows == rows


def test_an_unknown_order_of_the_labels_is_refused(tmp_path):
    model = tiny_v2(MODEL__NUM_CLASSES=400)
    path = saved(tmp_path, numbered_head(model, 400))
    with pytest.raises(UserError, match=r"DATA\.CLASS_NAMES_FILE is empty.*CHECKPOINT_CLASS_ORDER to same"):
        load_source(model, path, rules(None))


def test_the_user_can_name_the_order(tmp_path):
    names = load_label_list("something_something_v2")
    listed = tmp_path / "theirs.txt"
    listed.write_text("\n".join(reversed(names)))
    model = tiny_v2(MODEL__NUM_CLASSES=174)
    path = saved(tmp_path, numbered_head(model, 174))
    load_source(model, path, rules(names, order=str(listed)))
    assert rows_of(model) == list(reversed(range(174)))
    load_source(model, path, rules(names, order="something_something_v1"))
    assert rows_of(model) != list(range(174))
    with pytest.raises(UserError, match=r"has 174 classes, but MODEL.CHECKPOINT_CLASS_ORDER ucf101 lists 101"):
        load_source(model, path, rules(names, order="ucf101"))
    with pytest.raises(UserError, match="no list of class names; accepted: a file or one of activitynet200"):
        load_source(model, path, rules(names, order="kinetics"))


def test_file_names_tell_lists_of_equal_length_apart(tmp_path):
    names = load_label_list("something_something_v1")
    model = tiny_v2(MODEL__NUM_CLASSES=174)
    weights = numbered_head(model, 174)
    for file_name, is_same in (("sthv1_uniformerv2_b16_16x224.pyth", True), ("ssv2_b16.pyth", False)):
        load_source(model, saved(tmp_path, weights, file_name), rules(names))
        assert (rows_of(model) == list(range(174))) is is_same


def test_a_head_of_another_size_is_reset_if_asked_for(tmp_path):
    model = tiny_v2(MODEL__NUM_CLASSES=2)
    initial = model.backbone.transformer.proj[2].weight.clone()
    path = saved(tmp_path, numbered_head(model, 400))
    report = load_source(model, path, rules(None, resets_other_size=True))
    assert report.head.rows is None
    torch.testing.assert_close(model.backbone.transformer.proj[2].weight, initial)
    with pytest.raises(UserError, match=r"DATA.CLASS_NAMES_FILE is empty.*UNIFORMERV2.DELETE_SPECIAL_HEAD True"):
        load_source(model, path, rules(None, reset_key="UNIFORMERV2.DELETE_SPECIAL_HEAD"))


DELETE_KEY = "UNIFORMERV2.DELETE_SPECIAL_HEAD"


def warnings_of(report, caplog) -> list[str]:
    """What the log of a report warns of."""
    logging.getLogger("slowfast").propagate = True
    caplog.clear()
    with caplog.at_level(logging.INFO):
        report.log()
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    ("ours", "num_theirs", "changes", "told"),
    [
        (
            "kinetics400_uniformer",
            710,
            {"resets_other_size": True, "reset_key": DELETE_KEY},
            "of 710 classes instead of 400: it starts afresh, although 400 of the 400 classes have a row by name, by "
            f"the order kinetics710_uniformer; to map them, set {DELETE_KEY} to False",
        ),
        (
            "kinetics600_alphabetical",
            400,
            {"resets_other_size": True},  # as in UniFormer
            "of 400 classes instead of 600: it starts afresh, although 382 of the 600 classes have a row by name, by "
            "the order kinetics400_uniformer; to map them, set MODEL.CHECKPOINT_CLASS_ORDER to kinetics400_uniformer",
        ),
        (
            "kinetics400_alphabetical",
            400,
            {"order": "reset", "reset_key": DELETE_KEY},
            "MODEL.CHECKPOINT_CLASS_ORDER is reset: it starts afresh, although 400 of the 400 classes have a row by "
            'name, by the order kinetics400_uniformer; to map them, set MODEL.CHECKPOINT_CLASS_ORDER to ""',
        ),
        (
            "kinetics400_alphabetical",
            710,
            {"order": "reset", "resets_other_size": True, "reset_key": DELETE_KEY},
            f'set {DELETE_KEY} to False and MODEL.CHECKPOINT_CLASS_ORDER to ""',
        ),
        (
            "kinetics400_alphabetical",
            710,
            {"order": "kinetics710_mmaction2", "resets_other_size": True, "reset_key": DELETE_KEY},
            "by MODEL.CHECKPOINT_CLASS_ORDER kinetics710_mmaction2; to map them",
        ),
    ],
)
def test_a_classifier_that_is_dropped_although_its_classes_are_ours_is_a_warning(
    tmp_path, caplog, ours, num_theirs, changes, told
):
    names = load_label_list(ours)
    model = tiny_v2(MODEL__NUM_CLASSES=len(names))
    path = saved(tmp_path, numbered_head(model, num_theirs))
    report = load_source(model, path, rules(names, **changes))
    assert report.head.rows is None
    (warning,) = warnings_of(report, caplog)
    assert told in warning


def test_a_classifier_of_which_little_is_ours_is_dropped_without_a_warning(tmp_path, caplog):
    for ours, told in (
        ("ucf101", ", although 22 of the 101 classes have a row by name"),
        ("something_something_v2", ""),
    ):
        names = load_label_list(ours)
        model = tiny_v2(MODEL__NUM_CLASSES=len(names))
        path = saved(tmp_path, numbered_head(model, 400))
        report = load_source(model, path, rules(names, resets_other_size=True))
        assert not warnings_of(report, caplog)
        assert f"starts afresh{told}" in report.head.note and ("although" in report.head.note) is bool(told)


@pytest.mark.parametrize(
    ("file_name", "theirs", "ours", "count"),
    [
        ("anet_uniformerv2_l14_16x224.pyth", "activitynet200", "activitynet200", 200),
        ("mit_uniformerv2_b16_8x224.pyth", "moments_in_time_v1", "moments_in_time_v1", 339),
        ("k710_uniformerv2_b16_8x224.pyth", "kinetics710_uniformer", "kinetics710_uniformer", 310),
        ("k710_uniformerv2_b16_8x224.pyth", "kinetics710_uniformer", "kinetics600_uniformer", 218),
        ("k710_uniformerv2_b16_8x224.pyth", "kinetics710_uniformer", "kinetics400_uniformer", 0),
    ],
)
def test_an_order_that_the_authors_did_not_publish_is_assumed_with_a_warning(
    tmp_path, caplog, file_name, theirs, ours, count
):
    names = load_label_list(ours)
    model = tiny_v2(MODEL__NUM_CLASSES=len(names))
    weights = numbered_head(model, len(load_label_list(theirs)))
    path = saved(tmp_path, weights, file_name)
    for is_test in (False, True):
        warnings = warnings_of(load_source(model, path, rules(names, is_test=is_test)), caplog)
        assert len(warnings) == (count > 0)
        if count:
            assert f"by the order {theirs}, {count} of them assumed from MMAction2's list" in warnings[0]
            assert warnings[0].endswith(f"MODEL.CHECKPOINT_CLASS_ORDER {theirs} confirms it")
        rows = rows_of(model)
        confirmed = load_source(model, path, rules(names, is_test=is_test, order=theirs))
        assert rows_of(model) == rows and not warnings_of(confirmed, caplog)
        assert "assumed" not in confirmed.head.note
    ported = saved(tmp_path, {"state_dict": mmaction2_names(weights)}, file_name)
    assert not warnings_of(load_source(model, ported, rules(names)), caplog)  # MMAction2's own order is published


def test_same_cannot_be_asserted_of_another_size(tmp_path):
    path = saved(tmp_path, numbered_head(tiny_v2(), 400))
    with pytest.raises(UserError, match=r"is same, but it has 400 classes and MODEL.NUM_CLASSES is 5"):
        load_source(tiny_v2(), path, rules(order="same"))


# ---------------------------------------------------------------- our own checkpoints


def own_checkpoint(tmp_path, names, num_classes=5):
    weights = numbered_head(tiny_v2(MODEL__NUM_CLASSES=num_classes), num_classes)
    return saved(tmp_path, {"model_state": weights, "epoch": 0, "config": "", "class_names": names})


@pytest.mark.parametrize("is_test", [False, True])
def test_own_checkpoints_carry_their_names(tmp_path, is_test):
    model, names = tiny_v2(), list("abcde")
    path = own_checkpoint(tmp_path, names)
    load_source(model, path, rules(names, is_test=is_test))
    assert rows_of(model) == [0, 1, 2, 3, 4]
    load_source(model, path, rules(list("EdCba"), is_test=is_test))
    assert rows_of(model) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(("theirs", "ours"), [(None, list("abcde")), (list("abcde"), None), (None, None)])
def test_own_checkpoints_of_unknown_order_are_used_with_a_warning(tmp_path, theirs, ours, caplog):
    model = tiny_v2()
    logging.getLogger("slowfast").propagate = True
    report = load_source(model, own_checkpoint(tmp_path, theirs), rules(ours))
    assert rows_of(model) == [0, 1, 2, 3, 4]
    report.log()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1 and "their order could not be checked" in warnings[0]


def test_the_classes_of_an_own_classifier_are_compared_too(tmp_path, caplog):
    path, names = own_checkpoint(tmp_path, list("abcde")), list("cXa")
    report = load_source(tiny_v2(MODEL__NUM_CLASSES=3), path, rules(names, resets_other_size=True))
    (warning,) = warnings_of(report, caplog)
    assert "although 2 of the 3 classes have a row by name, by its own class names" in warning
    assert "set MODEL.CHECKPOINT_CLASS_ORDER to a file of its class names" in warning


def test_an_asserted_order_does_not_concern_the_test_of_an_own_checkpoint(tmp_path):
    model = tiny_v2()
    for order in ("reset", "kinetics710_uniformer"):
        load_source(model, own_checkpoint(tmp_path, list("abcde")), rules(list("abcde"), order=order, is_test=True))
        assert rows_of(model) == [0, 1, 2, 3, 4]


def test_an_own_checkpoint_of_another_vit_is_refused(tmp_path):
    model = tiny_v2(UNIFORMERV2__ACTIVATION="gelu")
    config = "MODEL: {MODEL_NAME: Uniformerv2}\nUNIFORMERV2: {ACTIVATION: gelu, NORM_EPS: 1.0e-05}"
    path = saved(tmp_path, {"model_state": golden_weights(model), "class_names": None, "config": config})
    load_source(model, path, rules())
    with pytest.raises(UserError, match=r"another function than the config's ViT; set UNIFORMERV2.ACTIVATION gelu"):
        load_source(tiny_v2(), path, rules())


def test_safetensors_carry_the_names_too(tmp_path):
    from safetensors.torch import save_file

    model = tiny_v2()
    save_file(numbered_head(model, 5), tmp_path / "own.safetensors", {"class_names": '["e", "d", "c", "b", "a"]'})
    load_source(model, str(tmp_path / "own.safetensors"), rules(list("abcde")))
    assert rows_of(model) == [4, 3, 2, 1, 0]
