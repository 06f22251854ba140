"""Weights from any public source into a model: strict apart from the head, and with a report of what was done."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from slowfast.errors import UserError
from slowfast.models.registry import MODEL_REGISTRY, VideoModel
from slowfast.models.weights.class_order import HeadPlan, HeadRules, plan_head
from slowfast.models.weights.files import without_shared_prefixes
from slowfast.models.weights.integrity import check_types
from slowfast.models.weights.report import WeightsReport, first
from slowfast.models.weights.shapes import inflate_at_centre, inflate_by_repetition
from slowfast.models.weights.sources import ACCEPTED_SOURCES, translate_source
from slowfast.models.weights.translation import Translation


def load_source(model: VideoModel, name: str, rules: HeadRules, *, is_checked: bool = False) -> WeightsReport:
    """Load a file, an address or ``timm:<model>`` of any public source.

    Args:
        model: the bare model.
        name: see ``files.py``.
        rules: for the head.
        is_checked: leave checksums, hash and values alone, since another process checks them.

    Raises:
        UserError: if it cannot be had, is damaged or does not fit; the model is untouched then.
    """
    return apply_translation(model, translate_source(name, is_checked=is_checked), name, rules)


def apply_translation(model: VideoModel, translation: Translation, source: str, rules: HeadRules) -> WeightsReport:
    """Fit translated weights to a model and load them; see ``load_source``."""
    told = f"{source} ({translation.layout})"
    _check_function(model, translation, told)
    own = model.state_dict()
    if not translation.weights.keys() & own:
        translation = _without_prefix(translation, own)
        told = f"{source} ({translation.layout})"
    check_types(translation.weights, told, own)
    heads = tuple(f"{name}." for name in model.classifier_names)
    unknown = [name for name in translation.weights if name not in own]
    dropped = [name for name in unknown if name in translation.droppable]
    report = WeightsReport(source, translation.layout, skipped=[*translation.skipped, *dropped])
    fitted = {
        name: _fit(model, name, value, own[name], translation, report)
        for name, value in translation.weights.items()
        if name in own and not name.startswith(heads)
    }
    if not fitted:
        theirs, ours = first(list(translation.weights), 3), first(list(own), 3)
        raise UserError(
            f"{source}: none of its weights ({theirs}) belongs to this model ({ours}); accepted: {ACCEPTED_SOURCES}"
        )
    for head in reversed(heads):  # the first one counts in evaluation: what became of it is what is reported
        if f"{head}weight" in own:
            fitted |= _head_weights(head, own, translation, rules, report)
    report.missing = [name for name in own if name not in fitted]
    expected = "|".join([*(f"{re.escape(head)}.*" for head in heads), translation.may_lack or ""])
    missing = [name for name in report.missing if not re.fullmatch(expected, name)]
    _check_fit(model, own, fitted, missing, [name for name in unknown if name not in dropped], told)
    report.matched = list(fitted)
    report.remapped = {name: old for name, old in translation.remapped.items() if name in fitted}
    model.load_state_dict(own | fitted)
    return report


def load_weights(model: VideoModel, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Load weights of the very same model, head included, as a run that resumes does.

    Args:
        model: the bare model.
        state_dict: its weights, under the published names.
        source: where they come from, for the error.

    Raises:
        UserError: naming what does not fit; the model is untouched then.
    """
    own = model.state_dict()
    check_types(state_dict, source, own)
    fitted = {name: value for name, value in state_dict.items() if name in own}
    missing = [name for name in own if name not in state_dict]
    _check_fit(model, own, fitted, missing, [name for name in state_dict if name not in own], source)
    model.load_state_dict(own | fitted)


def _check_function(model: VideoModel, translation: Translation, told: str) -> None:
    """Refuse weights of another family, and those whose function the config's model would not compute."""
    names = MODEL_REGISTRY.aliases(type(model))
    if translation.family not in ("", type(model).__name__, *names):
        plugins = translation.config.get("PLUGINS")
        is_list = isinstance(plugins, list) and plugins
        remedy = f" (trained with --plugins {' '.join(map(str, plugins))})" if is_list else ""
        kind = " or ".join(names) or type(model).__name__
        raise UserError(f"{told} holds weights of {translation.family}{remedy}, but MODEL.MODEL_NAME is {kind}")
    if problem := model.weights.misfit(model, translation):
        raise UserError(f"{told} {problem}")


def _without_prefix(translation: Translation, own: Mapping[str, Tensor]) -> Translation:
    """Without a prefix that all names share, if some names are a model's own without it."""
    for prefix, renamed in without_shared_prefixes(translation.weights):
        if renamed.keys() & own:
            return replace(translation, weights=renamed, layout=f"{translation.layout}, without the prefix {prefix}")
    return translation


def _fit(
    model: VideoModel, name: str, value: Tensor, target: Tensor, translation: Translation, report: WeightsReport
) -> Tensor:
    """Give a weight the shape of its target where that is a matter of time or grid; else return it as it is."""
    if value.shape == target.shape:
        return value
    if value.ndim == 4 and target.ndim == 5 and value.shape == target.shape[:2] + target.shape[3:]:
        report.inflated.append(name)
        inflate = inflate_at_centre if translation.inflates_at_centre else inflate_by_repetition
        return inflate(value.float(), target.shape[2])
    resized = model.weights.resize(name, value, target)
    if resized is not None:
        report.resized.append(name)
        return resized
    return value


def _head_weights(
    head: str, own: Mapping[str, Tensor], translation: Translation, rules: HeadRules, report: WeightsReport
) -> dict[str, Tensor]:
    """The classifier's weights for our classes; none if it starts afresh."""
    names = [f"{head}weight", f"{head}bias"]
    theirs = {name: translation.weights[name] for name in names if name in translation.weights}
    missing = [name for name in names if name not in theirs]
    if missing:
        if rules.is_test:
            raise UserError(
                f"{report.source} ({report.layout}) has no classifier to test: {' and '.join(missing)} missing"
            )
        report.head = HeadPlan(None, "not in the source: it starts afresh")
        return {}
    kinds = {name: (value.ndim, value.shape[1:]) for name, value in theirs.items()}
    is_odd = any(kinds[name] != (own[name].ndim, own[name].shape[1:]) for name in names)
    if is_odd or len(theirs[names[0]]) != len(theirs[names[1]]):
        return theirs  # of another width, which is reported with what else does not fit
    num_theirs, num_ours = len(theirs[names[0]]), len(own[names[0]])
    plan = plan_head(rules, translation, num_theirs=num_theirs, num_ours=num_ours, source=report.source)
    report.head = plan
    if plan.rows is None:
        report.skipped += names
        return {}
    return {
        name: torch.stack(
            [own[name][idx] if row is None else value[row].to(own[name]) for idx, row in enumerate(plan.rows)]
        )
        for name, value in theirs.items()
    }


def _check_fit(
    model: VideoModel,
    own: Mapping[str, Tensor],
    fitted: Mapping[str, Tensor],
    missing: Sequence[str],
    unknown: Sequence[str],
    told: str,
) -> None:
    """Refuse what is missing, unknown or of another shape, naming blocks that are missing as a whole.

    Args:
        model: its family tells the keys to look at.
        own: the model's weights.
        fitted: those of the source that the model has a place for.
        missing: names of ours that the source ought to have.
        unknown: names of the source that the model has no place for.
        told: the source.
    """
    known, present = set(map(_block, own)), set(map(_block, fitted))
    blocks = [block for block in dict.fromkeys(map(_block, missing)) if block and block not in present]
    single = [name for name in missing if _block(name) not in blocks]
    unknown = list(dict.fromkeys(name if _block(name) in known else _block(name) for name in unknown))
    reshaped = [name for name in fitted if fitted[name].shape != own[name].shape]
    shapes = [f"{name} {tuple(fitted[name].shape)} for {tuple(own[name].shape)}" for name in reshaped]
    complaints = [
        f"{len(names)} {what} ({first(names, 3)})"
        for what, names in (
            ("blocks missing" if len(blocks) > 1 else "block missing", blocks),
            ("missing", single),
            ("unknown", unknown),
            ("of another shape", shapes),
        )
        if names
    ]
    if not complaints:
        return
    wrong = [*blocks, *single, *unknown, *reshaped]
    hints = model.weights.hints.items()
    keys = next((f"see {keys}; " for part, keys in hints if any(part in name for name in wrong)), "")
    raise UserError(
        f"{told} does not fit the config's model: {'; '.join(complaints)}; {keys}use the config that the weights were "
        f"trained with"
    )


def _block(name: str) -> str:
    """The block that a weight belongs to, such as blocks3.4 or backbone.transformer.dec.0; "" for none."""
    found = re.match(r".*?(?:blocks\d?|dec|dpe)\.\d+(?=\.)", name)
    return found[0] if found else ""
