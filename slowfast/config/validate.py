"""Whether the values of a config are accepted: each by itself, and together.

A rule is a function that takes the config and returns None, or one line that names keys, values and remedy.
``ranges.py`` and ``choices.py`` have what a key may be by itself; a model family's section has its own ranges and rules
(``sections.py``).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from fvcore.common.config import CfgNode

from slowfast.config import label_rules
from slowfast.config.choices import LEFT_TO_USE, REGISTERED, why_refused
from slowfast.config.ranges import CHOICES, RANGES, Range
from slowfast.config.sections import Rule, sections_in_use
from slowfast.errors import UserError


def validate(cfg: CfgNode) -> None:
    """Check the values of a config; keys of the model family that is not in use are left alone.

    Args:
        cfg: the whole config; it is not changed.

    Raises:
        UserError: for the first value that is not accepted; one line naming key, value and what is.
    """
    for problem in _problems(cfg):
        raise UserError(problem)


def _problems(cfg: CfgNode) -> Iterator[str]:
    sections = sections_in_use(cfg)
    for choices in (CHOICES, REGISTERED, *(section.choices for section in sections)):
        yield from _wrong_choices(cfg, choices)
    for ranges in (RANGES, *(section.ranges for section in sections)):
        yield from _wrong_numbers(cfg, ranges)
    for rule in chain(RULES, *(section.rules for section in sections)):
        if problem := rule(cfg):
            yield problem


def _wrong_choices(cfg: CfgNode, choices: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    for key, accepted in choices.items():
        value = _value_of(cfg, key)
        problem = why_refused(key, value, accepted)
        if problem and value != LEFT_TO_USE.get(key):
            yield problem


def _wrong_numbers(cfg: CfgNode, ranges: Mapping[str, Range]) -> Iterator[str]:
    for key, accepted in ranges.items():
        value = _value_of(cfg, key)
        numbers = value if isinstance(value, list) else [value]
        if not all(map(accepted.accepts, numbers)):
            each = "each item " if isinstance(value, list) else ""
            yield f"{key} is {value}; accepted: {each}{accepted.phrase}"


def _value_of(cfg: CfgNode, full_key: str) -> Any:
    section, _, leaf = full_key.rpartition(".")
    return cfg[section][leaf] if section else cfg[leaf]


def batches_split_over_gpus(cfg: CfgNode) -> str | None:
    """A node's batch is split evenly over its GPUs."""
    for key in ("TRAIN.BATCH_SIZE", "TEST.BATCH_SIZE"):
        size = _value_of(cfg, key)
        if size % max(cfg.NUM_GPUS, 1):
            return f"{key} is {size} and NUM_GPUS {cfg.NUM_GPUS}; make {key} a multiple of NUM_GPUS"
    return None


def colours_have_three_channels(cfg: CfgNode) -> str | None:
    """Mean and standard deviation are given for each colour channel."""
    for key in ("DATA.MEAN", "DATA.STD"):
        value = _value_of(cfg, key)
        if len(value) != 3:
            return f"{key} is {value}; accepted: 3 numbers, one for each channel in the order of DATA.CHANNEL_ORDER"
    return None


def jitter_is_ordered(cfg: CfgNode) -> str | None:
    """Ranges of crops are [smallest, largest]; the relative ones may be absent."""
    for name in ("TRAIN_JITTER_SCALES", "TRAIN_JITTER_SCALES_RELATIVE", "TRAIN_JITTER_ASPECT_RELATIVE"):
        value, is_optional = cfg.DATA[name], name.endswith("RELATIVE")
        if is_optional and not value:
            continue
        if len(value) != 2 or value[0] > value[1]:
            return f"DATA.{name} is {value}; accepted: [smallest, largest]{' or []' if is_optional else ''}"
    return None


def random_resized_crop_is_whole(cfg: CfgNode) -> str | None:
    """A random resized crop needs an area and an aspect ratio."""
    scales, aspects = cfg.DATA.TRAIN_JITTER_SCALES_RELATIVE, cfg.DATA.TRAIN_JITTER_ASPECT_RELATIVE
    if bool(scales) == bool(aspects):
        return None
    told = f"DATA.TRAIN_JITTER_SCALES_RELATIVE is {scales} and DATA.TRAIN_JITTER_ASPECT_RELATIVE {aspects}"
    return f"{told}; give both for random resized crops, or [] for both"


def random_crop_fits(cfg: CfgNode) -> str | None:
    """Without random resized crops, the crop is cut from a frame whose shorter side has been resized."""
    smallest, crop = cfg.DATA.TRAIN_JITTER_SCALES[0], cfg.DATA.TRAIN_CROP_SIZE
    if cfg.DATA.TRAIN_JITTER_SCALES_RELATIVE or smallest >= crop:
        return None
    told = f"DATA.TRAIN_CROP_SIZE is {crop}, larger than the smallest of DATA.TRAIN_JITTER_SCALES, {smallest}"
    return f"{told}; enlarge the scales, or give DATA.TRAIN_JITTER_SCALES_RELATIVE and _ASPECT_RELATIVE"


def probed_clips_have_an_order(cfg: CfgNode) -> str | None:
    """Temporal probes change the order of a clip's frames."""
    if cfg.TEST.PROBES and cfg.DATA.NUM_FRAMES < 2:
        told = f"TEST.PROBES is {cfg.TEST.PROBES} and DATA.NUM_FRAMES {cfg.DATA.NUM_FRAMES}"
        return f"{told}; clips of one frame have no order: give them 2 or more, or TEST.PROBES []"
    return None


def list_file_keys_are_usable(cfg: CfgNode) -> str | None:
    """Templates have their placeholder and the separator is not empty."""
    if not cfg.DATA.PATH_LABEL_SEPARATOR:
        return "DATA.PATH_LABEL_SEPARATOR is empty; give what separates path and label, such as ' ' or ','"
    if not _changes_with(cfg.DATA.IMAGE_TEMPLATE, 1, 2):
        return f"DATA.IMAGE_TEMPLATE is {cfg.DATA.IMAGE_TEMPLATE!r}; it needs a place for a number, as in {{:05d}}.jpg"
    if not _changes_with(cfg.DATA.LABEL_PATH_TEMPLATE, "train", "test"):
        template = cfg.DATA.LABEL_PATH_TEMPLATE
        return f"DATA.LABEL_PATH_TEMPLATE is {template!r}; it needs a place for the split, as in {{}}.txt"
    return None


def _changes_with(template: str, one: Any, other: Any) -> bool:
    if re.search(r"\{[^}]*\d{4}", template):  # a width that fills the memory
        return False
    try:
        return template.format(one) != template.format(other)
    except (ValueError, LookupError, AttributeError, TypeError):
        return False


def augmentation_policy_is_known(cfg: CfgNode) -> str | None:
    """AA_TYPE is RandAugment's notation, or nothing."""
    policy = cfg.AUG.AA_TYPE
    if re.fullmatch(r"(rand(-(m|n|w|mstd|inc)[0-9]+(\.[0-9]+)?)*)?", policy):
        return None
    return f"AUG.AA_TYPE is {policy!r}; accepted: rand-m7-n4-mstd0.5-inc1 and the like, or '' for none"


def extra_transforms_are_used(cfg: CfgNode) -> str | None:
    """Extra transforms are a part of the augmentation that AUG.ENABLE turns on."""
    if cfg.AUG.ENABLE or not cfg.AUG.EXTRA_TRANSFORMS:
        return None
    told = f"AUG.EXTRA_TRANSFORMS is {cfg.AUG.EXTRA_TRANSFORMS} and AUG.ENABLE False"
    return f"{told}; set AUG.ENABLE to True to apply them, or EXTRA_TRANSFORMS to []"


def warmup_ends(cfg: CfgNode) -> str | None:
    """Warm-up is a part of training."""
    warmup, total = cfg.SOLVER.WARMUP_EPOCHS, cfg.SOLVER.MAX_EPOCH
    if warmup <= total:
        return None
    return f"SOLVER.WARMUP_EPOCHS is {warmup} and SOLVER.MAX_EPOCH {total}; shorten the warm-up to at most MAX_EPOCH"


def cosine_descends(cfg: CfgNode) -> str | None:
    """The cosine policy goes down from BASE_LR."""
    end, base = cfg.SOLVER.COSINE_END_LR, cfg.SOLVER.BASE_LR
    if cfg.SOLVER.LR_POLICY != "cosine" or end <= base:
        return None
    return f"SOLVER.COSINE_END_LR is {end} and SOLVER.BASE_LR {base}; lower COSINE_END_LR to at most BASE_LR"


def steps_have_rates(cfg: CfgNode) -> str | None:
    """The steps policy starts at epoch 0 and has a rate for each step."""
    steps, rates = cfg.SOLVER.STEPS, cfg.SOLVER.LRS
    if cfg.SOLVER.LR_POLICY != "steps_with_relative_lrs":
        return None
    if len(steps) != len(rates):
        return f"SOLVER.STEPS is {steps} and SOLVER.LRS {rates}; give as many LRS as STEPS"
    is_increasing = all(one < other for one, other in pairwise(steps))
    if steps[:1] != [0] or not is_increasing or steps[-1] >= cfg.SOLVER.MAX_EPOCH:
        accepted = f"epochs that begin with 0, increase and stay below SOLVER.MAX_EPOCH {cfg.SOLVER.MAX_EPOCH}"
        return f"SOLVER.STEPS is {steps}; accepted for LR_POLICY steps_with_relative_lrs: {accepted}"
    return None


def nesterov_has_momentum(cfg: CfgNode) -> str | None:
    """Nesterov's sgd is defined for a momentum without dampening."""
    solver = cfg.SOLVER
    if solver.OPTIMIZING_METHOD != "sgd" or not solver.NESTEROV or (solver.MOMENTUM > 0 and solver.DAMPENING == 0):
        return None
    told = f"SOLVER.NESTEROV is True, SOLVER.MOMENTUM {solver.MOMENTUM} and SOLVER.DAMPENING {solver.DAMPENING}"
    return f"{told}; Nesterov needs MOMENTUM above 0 and DAMPENING 0, or set SOLVER.NESTEROV to False"


def compiled_models_keep_activations(cfg: CfgNode) -> str | None:
    """torch.compile does not trace the recomputation of activations."""
    if not (cfg.MODEL.COMPILE and cfg.MODEL.USE_CHECKPOINT):
        return None
    return "MODEL.COMPILE and MODEL.USE_CHECKPOINT are both True; a model that is compiled cannot recompute activations"


RULES: list[Rule] = [
    compiled_models_keep_activations,
    batches_split_over_gpus,
    colours_have_three_channels,
    jitter_is_ordered,
    random_resized_crop_is_whole,
    random_crop_fits,
    list_file_keys_are_usable,
    probed_clips_have_an_order,
    augmentation_policy_is_known,
    extra_transforms_are_used,
    *label_rules.RULES,
    warmup_ends,
    cosine_descends,
    steps_have_rates,
    nesterov_has_momentum,
]
