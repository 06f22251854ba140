"""From a checkpoint to a model in use: its config, its weights, and whose classes it tells apart."""

import difflib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.config.load import flatten
from slowfast.config.sections import shapes_model
from slowfast.config.shipped import experiment_configs
from slowfast.datasets.labels import class_key, load_label_list
from slowfast.errors import UserError
from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.folder.hub import PREFIX, fetch_folder
from slowfast.inference.folder.model_folder import (
    CONFIG,
    WEIGHTS,
    is_model_folder,
    prove,
    read_folder,
    why_no_model_folder,
)
from slowfast.inference.folder.proof import check_bfloat16
from slowfast.inference.settings import as_overrides
from slowfast.models import build_model
from slowfast.models.registry import MODEL_REGISTRY
from slowfast.models.weights.class_order import ASSUMED_ORDERS, IMPLIED_LISTS, HeadRules, implied_list
from slowfast.models.weights.load import apply_translation, load_weights
from slowfast.models.weights.sources import translate_source
from slowfast.models.weights.translation import Translation

# Data sets that share their list of classes with another one, in an order that is not published.
UNKNOWN_ORDERS = ("hacs",)
PRECISIONS = {"float32": "", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class Classes:
    """What is known about the classes of a model.

    Attributes:
        names: in the order of its scores; None if nobody published them.
        order: of the rows in the source, as MODEL.CHECKPOINT_CLASS_ORDER says it.
        note: why there are no names, or what is assumed about them; "" where there is nothing to say.
    """

    names: Sequence[str] | None
    order: str = ""
    note: str = ""


def load_model(
    source: str | os.PathLike,
    *,
    experiment: str | os.PathLike = "",
    class_names: str | os.PathLike | Sequence[str] | None = None,
    plugins: Sequence[str] = (),
    device: str | torch.device = "auto",
    precision: str = "float32",
    num_workers: int = 0,
    verify: bool = True,
) -> VideoClassifier:
    """Load a trained model with all that it needs to classify videos.

    Args:
        source: a model folder (``uniformer publish``, or "hf:owner/name" on the hub) or a checkpoint of this project,
            which say everything themselves; or weights of the UniFormer or UniFormerV2 authors or of MMAction2, a file
            or an address, with the ``experiment`` that they are of.
        experiment: a folder of exp/, such as uniformerv2_b16_8x224_k400, or a YAML config of your own. It says which
            frames are read, how, and the names of the classes, where the source does not.
        class_names: in the order of the source's rows, where it does not say them or you know better: names, or one of
            the shipped lists or a file of them, one per line.
        plugins: files of code that register the source's model or data set.
        device: "cpu", "cuda", "cuda:1", ...; "auto" is a GPU if there is one.
        precision: what the network computes in: float32, bfloat16 or float16.
        num_workers: processes that read videos beside this one, where there are several.
        verify: of a model folder, run the proof that it is the published model. Its hashes are always compared.

    Raises:
        UserError: if the source cannot be had, is damaged, or does not say enough; then the message lists the
            experiments whose model it fits.
    """
    source, experiment = os.fspath(source), os.fspath(experiment)
    plugins = [plugins] if isinstance(plugins, str | os.PathLike) else list(plugins)
    runtime = _runtime_overrides(_device(device), precision, num_workers)
    if source.startswith(PREFIX):
        source = str(fetch_folder(source))
    if os.path.isdir(source):
        if experiment or class_names is not None:
            raise UserError(f"{source}: says its experiment and classes itself; name no others")
        return _load_folder(source, runtime, plugins, _device(device), precision, verify=verify)
    _refuse_folders_weights(source, experiment)
    translation = translate_source(source)
    if translation.origin == "own" and translation.config:
        if experiment:
            raise UserError(f"{source}: says itself what it is; leave out the experiment {experiment}")
        cfg = load_config(None, [*as_overrides(translation.config), *runtime], plugins=_plugins(translation, plugins))
        if translation.config.get("TEST.USE_EMA"):
            translation = translate_source(source, is_ema=True)
        classes = _own_classes(translation)
    else:
        path = _experiment_config(experiment, translation, source)
        cfg = load_config(path, runtime, plugins=plugins)
        classes = _published_classes(cfg, translation, source)
    if class_names is not None:
        classes = _given_classes(class_names)
    model = build_model(cfg)
    report = apply_translation(model, translation, source, _head_rules(classes))
    note = report.head.note if report.head is not None and report.head.is_warning else classes.note
    _check_number(classes.names, model.num_classes, source)
    return VideoClassifier(
        model.to(_device(device)).eval(), cfg, class_names=classes.names, class_note=note, source=source
    )


def _load_folder(
    source: str, runtime: list[Any], plugins: Sequence[str], device: torch.device, precision: str, *, verify: bool
) -> VideoClassifier:
    if problem := why_no_model_folder(source):
        raise UserError(f"{source}: {problem}")
    content = read_folder(Path(source))
    if content.plugins and not plugins:
        raise UserError(f"{source}: needs code of its own ({', '.join(content.plugins)}); name it as a plugin")
    try:
        cfg = load_config(None, [*as_overrides(content.settings), *runtime], plugins=plugins)
    except UserError as error:
        if str(error).startswith("--plugins"):
            raise
        raise UserError(f"{Path(source, CONFIG)}: {str(error).removeprefix('command line: ')}") from None
    _check_number(content.class_names, cfg.MODEL.NUM_CLASSES, source)
    if not plugins:
        _refuse_other_shapes(cfg, content.weights, source)
    model = build_model(cfg).eval()
    load_weights(model, content.weights, source)
    told = prove(model, cfg, content, source) if verify else "not proved: verify was False"
    model = model.to(device)
    if verify and precision == "bfloat16":
        check_bfloat16(model, cfg, content.video, content.proof, source)
    return VideoClassifier(
        model,
        cfg,
        class_names=content.class_names,
        class_note=content.class_note,
        source=source,
        proof=told,
        window_s=content.window_s,
        origin=content.origin,
    )


def _refuse_other_shapes(cfg: CfgNode, weights: Mapping[str, torch.Tensor], source: str) -> None:
    """Compare shapes before memory is asked for that a folder's settings name, and its weights do not fill."""
    with torch.device("meta"):
        model = build_model(cfg)
    if any(name in weights and weights[name].shape != value.shape for name, value in model.state_dict().items()):
        with warnings.catch_warnings():  # that nothing is copied, before the error
            warnings.simplefilter("ignore")
            load_weights(model, weights, source)


def _check_number(names: Sequence[str] | None, num_classes: int, source: str) -> None:
    if names is not None and len(names) != num_classes:
        raise UserError(f"{source}: has {num_classes} classes, and {len(names)} names are given for them")


def _refuse_folders_weights(source: str, experiment: str) -> None:
    folder = os.path.dirname(source)
    if not experiment and os.path.basename(source) == WEIGHTS and os.path.isfile(source) and is_model_folder(folder):
        raise UserError(f"{source}: is a part of a model folder; name the folder: {folder or '.'}")


def _device(name: str | torch.device) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"device {str(name)!r}; accepted: auto, cpu, cuda, cuda:0, ...")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name}: this machine has {torch.cuda.device_count()} GPUs that PyTorch can use")
    return device


def _runtime_overrides(device: torch.device, precision: str, num_workers: int) -> list[Any]:
    """Keys that change nothing in a model but where, how fast and how exactly it computes."""
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r}; accepted: {', '.join(PRECISIONS)}")
    if precision == "float16" and device.type == "cpu":
        raise UserError("precision float16 is for GPUs; accepted on a CPU: float32 and bfloat16")
    values = {
        "NUM_GPUS": 0 if device.type == "cpu" else 1,
        "NUM_SHARDS": 1,
        "DATA_LOADER.NUM_WORKERS": num_workers,
        "TEST.MIXED_PRECISION": precision != "float32",
        "TRAIN.MIXED_PRECISION_DTYPE": PRECISIONS[precision] or "auto",
    }
    return [part for pair in values.items() for part in pair]


def _plugins(translation: Translation, plugins: Sequence[str]) -> Sequence[str]:
    """Files of code are imported because the user names them, never because a checkpoint does."""
    named = translation.config.get("PLUGINS") or []
    if named and not plugins:
        raise UserError(
            f"the run that saved it used code of its own ({', '.join(map(str, named))}); read it, and if you trust it, "
            f"name it as a plugin"
        )
    return plugins


def _experiment_config(experiment: str, translation: Translation, source: str) -> str | os.PathLike:
    configs = experiment_configs()
    if experiment in configs:
        return configs[experiment]
    if experiment.endswith((".yaml", ".yml")):
        return experiment
    if experiment:
        near = ", ".join(difflib.get_close_matches(experiment, configs, n=3, cutoff=0.0))
        raise UserError(f"there is no experiment {experiment!r}; the nearest are {near}")
    fitting = [name for name, cfg in _load_all(configs) if _fits(cfg, translation)]
    told = (
        f"; its weights fit {', '.join(fitting)}"
        if fitting
        else "; its weights fit none of the published ones: name your own YAML config"
    )
    raise UserError(
        f"{source} holds weights alone ({translation.layout}): no frames, sampling, views or class names. Name the "
        f"experiment that they are of{told}"
    )


def _load_all(configs: dict[str, os.PathLike]) -> list[tuple[str, CfgNode]]:
    return [(name, load_config(path)) for name, path in configs.items() if name != "quickstart"]


def _fits(cfg: CfgNode, translation: Translation) -> bool:
    """Whether the source has the weights of the config's model, of the same shapes, and no others."""
    model_class = MODEL_REGISTRY.find("MODEL.MODEL_NAME", cfg.MODEL.MODEL_NAME)
    if translation.family not in ("", *MODEL_REGISTRY.aliases(model_class)):
        return False
    key = tuple((name, str(value)) for name, value in flatten(cfg) if shapes_model(name))
    if key not in _shapes:
        with torch.device("meta"):
            model = build_model(cfg)
        _shapes[key] = {name: value.shape for name, value in model.state_dict().items()}
    theirs = {name: value.shape for name, value in translation.weights.items()}
    ours = _shapes[key]
    return theirs.items() >= ours.items() and theirs.keys() <= ours.keys() | translation.droppable


# Shapes of the weights of models, by the values of the keys that shape them.
_shapes: dict[tuple[tuple[str, str], ...], dict[str, torch.Size]] = {}


def _own_classes(translation: Translation) -> Classes:
    if translation.class_names:
        return Classes(translation.class_names)
    return Classes(None, order="same", note="the checkpoint has no class names: its run had no DATA.CLASS_NAMES_FILE")


def _published_classes(cfg: CfgNode, translation: Translation, source: str) -> Classes:
    """The classes of an experiment, unless nobody knows in which order the source has them."""
    if translation.class_names:
        return Classes(translation.class_names)
    list_name, origin = cfg.DATA.CLASS_NAMES_FILE, translation.origin
    classifiers = MODEL_REGISTRY.find("MODEL.MODEL_NAME", cfg.MODEL.MODEL_NAME).classifier_names
    rows = [translation.weights.get(f"{name}.bias") for name in classifiers]
    num_rows = next((len(bias) for bias in rows if bias is not None), 0)
    if implied_list(origin, num_rows, source) is not None:
        return Classes(load_label_list(list_name))
    if list_name in IMPLIED_LISTS.get(origin, {}).get(num_rows, ()) and cfg.TEST.DATASET not in UNKNOWN_ORDERS:
        # The file's name does not tell which list it is of, but the experiment's does.
        is_assumed = list_name in ASSUMED_ORDERS.get(origin, {})
        note = "the order of the classes is assumed: that of MMAction2, as the authors published none"
        return Classes(load_label_list(list_name), order=list_name, note=note if is_assumed else "")
    whose = {"authors": "the authors", "mmaction2": "MMAction2"}.get(origin, "nobody who is known")
    told = (
        f"{whose} published the order of these {num_rows} classes"
        if not origin
        else (f"{whose} did not publish the order of these {num_rows} classes")
    )
    return Classes(None, order="same", note=f"{told}: they are told by their numbers")


def _given_classes(class_names: str | os.PathLike | Sequence[str]) -> Classes:
    is_file = isinstance(class_names, str | os.PathLike)
    names = load_label_list(os.fspath(class_names)) if is_file else list(class_names)
    if not all(isinstance(name, str) for name in names):
        other = next(name for name in names if not isinstance(name, str))
        raise UserError(f"class_names has {other!r}; accepted: texts, or a shipped list or a file of them")
    return Classes(names, order="same")


def _head_rules(classes: Classes) -> HeadRules:
    return HeadRules(
        class_names=classes.names, load_list=load_label_list, class_key=class_key, order=classes.order, is_test=True
    )
