"""Rules of labels: losses, mixing, smoothing and weights fit each other, and the labels that videos have."""

from fvcore.common.config import CfgNode

from slowfast.config.choices import LOSS_TARGETS, WEIGHTED_LOSSES, losses_for
from slowfast.config.sections import Rule


def many_labels_have_their_loss(cfg: CfgNode) -> str | None:
    """Several labels per video go with a loss that takes them, and are neither mixed nor split by ";"."""
    name = cfg.MODEL.LOSS_FUNC
    told = f"DATA.MULTI_LABEL is {cfg.DATA.MULTI_LABEL} and MODEL.LOSS_FUNC {name}"
    if not cfg.DATA.MULTI_LABEL:
        if LOSS_TARGETS[name] != ("several",):
            return None
        return f"{told}; {name} is for several labels per video: set MULTI_LABEL to True or LOSS_FUNC to cross_entropy"
    if cfg.MIXUP.ENABLE:
        return "DATA.MULTI_LABEL is True and MIXUP.ENABLE True; only single labels are mixed: set MIXUP.ENABLE to False"
    if "several" not in LOSS_TARGETS[name]:
        needed = losses_for("several")
        return f"{told}; several labels per video need {needed}: set MODEL.LOSS_FUNC to it or MULTI_LABEL to False"
    if ";" in cfg.DATA.PATH_LABEL_SEPARATOR:
        told = f"DATA.MULTI_LABEL is True and DATA.PATH_LABEL_SEPARATOR {cfg.DATA.PATH_LABEL_SEPARATOR!r}"
        return f"{told}; ';' joins the labels of a video: give another separator, such as ','"
    return None


def temperature_has_one_label(cfg: CfgNode) -> str | None:
    """A temperature makes probabilities of classes that exclude each other."""
    if not (cfg.TEST.FIT_TEMPERATURE and cfg.DATA.MULTI_LABEL):
        return None
    return (
        "TEST.FIT_TEMPERATURE is True and DATA.MULTI_LABEL True; a temperature is fitted to one label per video: set "
        "FIT_TEMPERATURE to False"
    )


def mixing_has_soft_targets(cfg: CfgNode) -> str | None:
    """Mixup and cutmix make targets that not every loss takes, and some take no others."""
    name, kinds = cfg.MODEL.LOSS_FUNC, LOSS_TARGETS[cfg.MODEL.LOSS_FUNC]
    told = f"MIXUP.ENABLE is {cfg.MIXUP.ENABLE} and MODEL.LOSS_FUNC {name}"
    if cfg.MIXUP.ENABLE and "mixed" not in kinds:
        needed = losses_for("mixed")
        return f"{told}; mixed targets need {needed}: set MODEL.LOSS_FUNC to it or MIXUP.ENABLE to False"
    if not cfg.MIXUP.ENABLE and not cfg.DATA.MULTI_LABEL and "class" not in kinds:
        return f"{told}; {name} needs mixed targets: set MIXUP.ENABLE to True or LOSS_FUNC to cross_entropy"
    return None


def smoothing_has_its_loss(cfg: CfgNode) -> str | None:
    """Label smoothing of its own is for plain cross entropy."""
    smoothing = cfg.MODEL.LABEL_SMOOTHING
    if smoothing == 0 or cfg.MODEL.LOSS_FUNC == "cross_entropy":
        return None
    if cfg.MIXUP.ENABLE:
        told = f"MODEL.LABEL_SMOOTHING is {smoothing} and MIXUP.ENABLE True"
        return f"{told}; mixed targets are smoothed by MIXUP.LABEL_SMOOTH_VALUE: set LABEL_SMOOTHING to 0"
    told = f"MODEL.LABEL_SMOOTHING is {smoothing} and MODEL.LOSS_FUNC {cfg.MODEL.LOSS_FUNC}"
    return f"{told}; only cross_entropy is smoothed: set LABEL_SMOOTHING to 0"


def weights_have_their_loss(cfg: CfgNode) -> str | None:
    """Weights of classes are for the losses that take them."""
    weights, name = cfg.MODEL.CLASS_WEIGHTS, cfg.MODEL.LOSS_FUNC
    if not weights or name in WEIGHTED_LOSSES:
        return None
    known = ", ".join(loss for loss in LOSS_TARGETS if loss in WEIGHTED_LOSSES)
    told = f"MODEL.CLASS_WEIGHTS is {weights!r} and MODEL.LOSS_FUNC {name}, which takes none"
    return f"{told}; set CLASS_WEIGHTS to '' or LOSS_FUNC to one of {known}"


def classes_are_balanced_once(cfg: CfgNode) -> str | None:
    """Classes are drawn equally often where each video has one, and are then not weighted as if they were not."""
    if cfg.TRAIN.CLASS_SAMPLING == "uniform":
        return None
    told = "TRAIN.CLASS_SAMPLING is balanced and"
    if cfg.DATA.MULTI_LABEL:
        return (
            f"{told} DATA.MULTI_LABEL True; videos of several labels cannot be drawn so that all classes come equally "
            f"often: set CLASS_SAMPLING to uniform, and MODEL.CLASS_WEIGHTS to balanced for rare classes"
        )
    if cfg.MODEL.CLASS_WEIGHTS == "balanced":
        return (
            f"{told} MODEL.CLASS_WEIGHTS balanced; together they favour rare classes twice: set CLASS_SAMPLING to "
            f"uniform or CLASS_WEIGHTS to ''"
        )
    return None


RULES: list[Rule] = [
    many_labels_have_their_loss,
    temperature_has_one_label,
    mixing_has_soft_targets,
    smoothing_has_its_loss,
    weights_have_their_loss,
    classes_are_balanced_once,
]
