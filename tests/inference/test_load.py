"""What a source says itself, what an experiment says for it, and what nobody knows."""

from pathlib import Path

import pytest
import torch
import yaml

import slowfast
from slowfast.config import load_config
from slowfast.config.shipped import experiment_configs
from slowfast.datasets.labels import load_label_list
from slowfast.engine.checkpoint import CheckpointFolder
from slowfast.errors import UserError
from slowfast.inference import publish
from slowfast.inference.settings import as_overrides, settings_of
from slowfast.models import build_model
from tests.inference.models import CLASS_NAMES, small_classifier
from tests.models.weights.layouts import B16_NAMES, TINY_V1, TINY_V2, golden_weights, saved, tiny_cfg


def small_experiment(folder: Path, class_names: str, **changes: object) -> tuple[str, Path]:
    """A config of a small model with the published names of weights, and such weights, as the authors save them."""
    names = load_label_list(class_names)
    keys = TINY_V2 | B16_NAMES | {"MODEL.NUM_CLASSES": len(names), "DATA.CLASS_NAMES_FILE": class_names} | changes
    nested: dict = {}
    for key, value in keys.items():
        section, name = key.split(".")
        nested.setdefault(section, {})[name] = value
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(nested))
    return str(config), golden_weights(build_model(tiny_cfg(keys)).eval())


@pytest.mark.parametrize(
    ("file_name", "class_names", "dataset", "expected", "note"),
    [
        ("k400.pth", "kinetics400_uniformer", "kinetics_sparse", "riding a bike", ""),
        ("k600.pth", "kinetics600_uniformer", "kinetics_sparse", None, ""),
        (
            "k700.pth",
            "kinetics700_alphabetical",
            "kinetics_sparse",
            "class 0",
            "the authors did not publish the order of",
        ),
        (
            "k710.pth",
            "kinetics710_uniformer",
            "kinetics_sparse",
            "riding a bike",
            "310 of them assumed from MMAction2's",
        ),
        ("sthv2.pth", "something_something_v2", "sth", None, ""),
        ("renamed.pth", "something_something_v1", "sth", None, ""),
        ("anet.pth", "activitynet200", "anet", None, "assumed"),
        ("renamed.pth", "activitynet200", "anet", None, "assumed: that of MMAction2"),
        ("hacs.pth", "activitynet200", "hacs", "class 0", "did not publish the order of these 200 classes"),
        ("mit.pth", "moments_in_time_v1", "mit", None, "339 of them assumed"),
    ],
)
def test_names_come_where_the_order_is_known(
    file_name: str, class_names: str, dataset: str, expected: str | None, note: str, tmp_path: Path
):
    config, weights = small_experiment(tmp_path, class_names, **{"TEST.DATASET": dataset})
    classifier = slowfast.load_model(saved(tmp_path, weights, file_name), experiment=config, device="cpu")
    assert classifier.class_name(0) == (expected or load_label_list(class_names)[0])
    assert note in classifier.class_note and bool(note) == bool(classifier.class_note)


def test_names_may_be_given(tmp_path: Path):
    config, weights = small_experiment(tmp_path, "kinetics700_alphabetical")
    path = saved(tmp_path, weights)
    names = [f"name {idx}" for idx in range(700)]
    classifier = slowfast.load_model(path, experiment=config, class_names=names, device="cpu")
    assert classifier.class_names == names and classifier.class_note == ""
    (tmp_path / "names.txt").write_text("\n".join(names))
    classifier = slowfast.load_model(path, experiment=Path(config), class_names=tmp_path / "names.txt", device="cpu")
    assert classifier.class_names == names
    with pytest.raises(UserError, match="class_names has 0; accepted: texts, or a shipped list or a file of them"):
        slowfast.load_model(path, experiment=config, class_names=range(700), device="cpu")
    with pytest.raises(UserError, match="has 700 classes, and 400 names are given for them"):
        slowfast.load_model(path, experiment=config, class_names="kinetics400_uniformer", device="cpu")


@pytest.mark.slow
def test_weights_alone_ask_for_their_experiment(tmp_path: Path):
    model = build_model(load_config(experiment_configs()["uniformer_s16x4_k400"]))
    path = saved(tmp_path, model.state_dict())
    with pytest.raises(UserError) as error:
        slowfast.load_model(path, device="cpu")
    told = str(error.value)
    assert told.startswith(f"{path} holds weights alone (the authors' UniFormer): no frames, sampling, views or class")
    fitting = "uniformer_s16x4_k400, uniformer_s16x8_k400, uniformer_s32x4_k400, uniformer_s8x8_k400"
    assert told.endswith(f"its weights fit {fitting}")


def test_weights_of_a_deeper_model_do_not_fit_a_shallower_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """UniFormer-B has all weights of UniFormer-S, of the same shapes, and more."""
    depths = {"shallow": [1, 1, 1, 1], "deep": [1, 2, 1, 1]}
    configs, models = {}, {}
    for name, depth in depths.items():
        models[name] = build_model(tiny_cfg(TINY_V1 | {"UNIFORMER.DEPTH": depth}))
        configs[name] = tmp_path / f"{name}.yaml"
        nested: dict = {}
        for key, value in (TINY_V1 | {"UNIFORMER.DEPTH": depth}).items():
            section, _, leaf = key.partition(".")
            nested.setdefault(section, {})[leaf] = value
        configs[name].write_text(yaml.safe_dump(nested))
    monkeypatch.setattr("slowfast.inference.load.experiment_configs", lambda: configs)
    for name, model in models.items():
        with pytest.raises(UserError, match=rf"its weights fit {name}$"):
            slowfast.load_model(saved(tmp_path, model.state_dict()), device="cpu")


def test_what_a_folder_keeps_of_each_experiments_config_is_a_config():
    for name, path in experiment_configs().items():
        cfg = load_config(path)
        kept = settings_of(cfg)
        assert settings_of(load_config(None, as_overrides(kept))) == kept, name


@pytest.mark.parametrize("family", ["uniformer", "uniformerv2"])
def test_a_model_that_was_trained_with_mixup_is_loaded(family: str, tmp_path: Path):
    """From its checkpoint and from its folder, which need no loss."""
    changes = {"MIXUP.ENABLE": True, "MODEL.LOSS_FUNC": "soft_cross_entropy"}
    trained = small_classifier(family, changes=changes)
    content = {"model_state": trained.model.state_dict(), "epoch": 0, "step": 0, "class_names": CLASS_NAMES}
    checkpoint = CheckpointFolder(tmp_path).save(content | {"config": trained.cfg.dump()}, is_epoch=True)
    for source in (checkpoint, publish(trained, tmp_path / "model")):
        assert slowfast.load_model(source, device="cpu").class_names == CLASS_NAMES


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"device": "tpu9"}, "device 'tpu9'; accepted: auto, cpu, cuda"),
        ({"device": "meta"}, "device 'meta'; accepted: auto, cpu, cuda"),
        ({"device": "cuda:77"}, "device cuda:77: this machine has "),
        ({"precision": "int8"}, "precision 'int8'; accepted: float32, bfloat16, float16"),
        ({"precision": "float16"}, "precision float16 is for GPUs"),
        (
            {"experiment": "uniformer_s16x4_k40"},
            "there is no experiment 'uniformer_s16x4_k40'; the nearest are uniformer_",
        ),
    ],
)
def test_wrong_arguments_are_told(arguments: dict, told: str, tmp_path: Path):
    path = saved(tmp_path, {"head.weight": torch.zeros(2, 2)})
    with pytest.raises(UserError) as error:
        slowfast.load_model(path, **({"device": "cpu"} | arguments))
    assert str(error.value).startswith(told)


def test_a_folder_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match=r"is no model folder, as uniformer publish writes it: it has no config\.json$"):
        slowfast.load_model(tmp_path)
    # As for another user than root, who may enter every folder.
    monkeypatch.setattr("os.access", lambda *arguments, **options: False)
    with pytest.raises(UserError, match=r"cannot be read: this user may not enter the folder$"):
        slowfast.load_model(tmp_path)


def test_the_folder_is_named_for_its_parts_and_for_its_run(tmp_path: Path):
    folder = publish(small_classifier("uniformerv2"), tmp_path / "model")
    with pytest.raises(UserError, match=rf"safetensors: is a part of a model folder; name the folder: {folder}$"):
        slowfast.load_model(folder / "model.safetensors")
    for given in ({"experiment": "quickstart"}, {"class_names": ["a"]}):
        with pytest.raises(UserError, match=r"model: says its experiment and classes itself; name no others$"):
            slowfast.load_model(folder, **given)
    with pytest.raises(UserError, match=rf"it has no config\.json; {folder} is one$"):
        slowfast.load_model(tmp_path)
