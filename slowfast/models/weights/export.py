"""Checkpoints of the video models in the form that another code base reads."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from slowfast.errors import UserError
from slowfast.models.registry import MODEL_REGISTRY, VideoModel
from slowfast.models.weights.class_order import (
    IMPLIED_LISTS,
    UNPUBLISHED_ORDERS,
    RowOrder,
    implied_list,
    match_classes,
    num_assumed,
)
from slowfast.models.weights.files import METADATA_KEYS
from slowfast.models.weights.integrity import AGAIN, HASHES_KEY, check_types, tensor_hashes
from slowfast.models.weights.sources import translate_source
from slowfast.models.weights.translation import Translation
from slowfast.runtime.files import cannot_write

FORMS = ("authors", "mmaction2", "ours")


def convert_checkpoint(
    source: str,
    target: Path,
    *,
    form: str,
    load_list: Callable[[str], list[str]],
    class_key: Callable[[str], str],
    classes: str = "",
    source_classes: str = "",
) -> list[str]:
    """Convert a video checkpoint.

    Args:
        source: file or address of a checkpoint of the authors, MMAction2 or ours, of either family.
        target: file to write, .safetensors or any other suffix for PyTorch's format.
        form: authors, mmaction2 or ours.
        load_list: reads a list of class names by its name or path.
        class_key: what a class's names in different lists have in common.
        classes: list of the classes to keep, in their new order; "" keeps all, in the order that the form implies for
            them (the source's where it implies none).
        source_classes: list of the source's classes; "" for the order that it implies or carries.

    Returns:
        Lines that say what was done.

    Raises:
        UserError: if it is no such checkpoint, the form cannot express it, or the order of its classes is not known, or
            assumed and not confirmed.
    """
    translation = translate_source(source)
    weights = dict(translation.weights)
    family = MODEL_REGISTRY.get(translation.family) if translation.family in MODEL_REGISTRY else None
    heads = [name for name in family.classifier_names if f"{name}.weight" in weights] if family is not None else []
    if translation.origin == "" or not heads:
        raise UserError(f"{source} ({translation.layout}): only whole checkpoints of the video models are converted")
    check_types(weights, source)
    for head in heads:
        sizes = [tuple(weights.get(f"{head}.{kind}", torch.empty(0)).shape) for kind in ("weight", "bias")]
        if len(sizes[0]) != 2 or sizes[1] != sizes[0][:1]:
            raise UserError(f"{source}: its classifier {head} has a weight {sizes[0]} and a bias {sizes[1]}; {AGAIN}")
    lines = [f"{source}: {translation.layout}, {len(weights)} weights"]
    for name in translation.droppable:
        del weights[name]
        reason = next((f" ({keys})" for part, keys in family.weights.hints.items() if part in name), "")
        lines.append(f"  {name} left out: it has no effect{reason}")
    theirs = _source_order(translation, source, source_classes, len(weights[f"{heads[0]}.weight"]), load_list)
    list_name = classes or _list_of(form, theirs.names, load_list, class_key)
    names = load_list(list_name) if list_name else theirs.names
    rows = match_classes(names, theirs.names, class_key)
    if None in rows:
        lacking = names[rows.index(None)]
        raise UserError(f"{source}: {rows.count(None)} classes of {list_name} have no row in it, such as {lacking!r}")
    if count := num_assumed(translation.origin, theirs.list_name, rows):
        # A file in another form, or of named classes, does not tell any more that its order was assumed.
        raise UserError(
            f"{source}: the authors did not publish the order of {count} of these classes, which is assumed from "
            f"MMAction2's list; confirm it with --source-classes {theirs.list_name}"
        )
    for name in (f"{head}.{kind}" for head in heads for kind in ("weight", "bias")):
        weights[name] = weights[name][rows]
    order = f"in the order {list_name}" if list_name else "in the source's order"
    if not classes and (count := num_assumed(form, list_name, range(len(names)))):
        order += f", {count} of them assumed from MMAction2's list"
    lines.append(f"  classifier: {len(rows)} of {len(theirs.names)} rows, {order}")
    content = _content(form, weights, names, translation, family, source)
    _write(content, target)
    return [*lines, f"  written to {target} ({form})"]


def _source_order(
    translation: Translation, source: str, source_classes: str, num_rows: int, load_list: Callable[[str], list[str]]
) -> RowOrder:
    """Whose classes the source's rows are."""
    if source_classes:
        names = load_list(source_classes)
        if len(names) != num_rows:
            raise UserError(f"{source}: has {num_rows} classes, but {source_classes} lists {len(names)}")
        return RowOrder(names, source_classes)
    if translation.class_names:
        num_names = len(translation.class_names)
        if num_names != num_rows:
            raise UserError(f"{source}: has {num_rows} classes, but {num_names} class names; {AGAIN}")
        return RowOrder(list(translation.class_names), "its own class names")
    name = implied_list(translation.origin, num_rows, source)
    if name is None:
        candidates = IMPLIED_LISTS.get(translation.origin, {}).get(num_rows, [])
        accepted = " or ".join(candidates) or "a list or a file of class names, one per line"
        raise UserError(
            f"{source}: the order of its {num_rows} classes is not known; give --source-classes: {accepted}"
        )
    return RowOrder(load_list(name), f"the order {name}", name)


def _list_of(
    form: str, theirs: Sequence[str], load_list: Callable[[str], list[str]], class_key: Callable[[str], str]
) -> str:
    """The list that a form implies for a set of classes; "" if it implies none.

    Of the lists that hold the same classes in several orders, the one that the classes already have is meant.

    Raises:
        UserError: if they have none of several orders, or the form's order of them is not published.
    """
    lists = IMPLIED_LISTS.get(form, {}).get(len(theirs), [])
    keys = [class_key(name) for name in theirs]
    unpublished = UNPUBLISHED_ORDERS.get(form)
    if unpublished and sorted(keys) == sorted(map(class_key, load_list(unpublished))):
        raise UserError(
            f"the order that the {form} give to the classes of {unpublished} is not published; give --classes"
        )
    same = {name: listed for name in lists if sorted(listed := [*map(class_key, load_list(name))]) == sorted(keys)}
    unchanged = [name for name, listed in same.items() if listed == keys]
    if len(same) > 1 and not unchanged:
        raise UserError(f"these classes are listed in several orders; give --classes: {' or '.join(same)}")
    return next(iter(unchanged or same), "")


def _content(
    form: str,
    weights: dict[str, Tensor],
    names: Sequence[str],
    translation: Translation,
    family: type[VideoModel],
    source: str,
) -> dict[str, Any]:
    if form == "ours":
        config = translation.config_text
        content = {"model_state": weights, "class_names": list(names)} | ({"config": config} if config else {})
        return content | {HASHES_KEY: tensor_hashes(content)}
    if reason := family.weights.why_not_exported(translation):
        raise UserError(f"{source}: {form} has no {reason}")
    if form == "authors":
        return {"model_state": weights}
    if family.weights.to_mmaction2 is None:
        raise UserError(f"{source}: MMAction2 has no {translation.family}")
    try:
        return {"meta": {}, "state_dict": family.weights.to_mmaction2(weights)}
    except LookupError as error:
        raise UserError(f"{source}: is no whole checkpoint of {translation.family}: {error}") from None


def _write(content: dict[str, Any], target: Path) -> None:
    """Write a checkpoint under a temporary name and rename it."""
    if not os.path.isdir(target.parent):
        raise UserError(f"{target}: there is no folder {target.parent}; make it first")
    temporary = target.with_name(target.name + ".tmp")
    try:
        if target.suffix == ".safetensors":
            weights = content.get("model_state", content.get("state_dict"))
            metadata = {key: json.dumps(content[key]) for key in METADATA_KEYS if key in content}
            save_file(
                {name: value.contiguous() for name, value in weights.items()}, temporary, {"format": "pt"} | metadata
            )
        else:
            with temporary.open("wb") as file:  # of a file that PyTorch opens itself it does not tell what is wrong
                torch.save(content, file)
        os.replace(temporary, target)
    except (OSError, RuntimeError, SafetensorError) as error:  # PyTorch makes a RuntimeError of a full disk
        raise cannot_write(target, error) from None
    finally:
        temporary.unlink(missing_ok=True)
