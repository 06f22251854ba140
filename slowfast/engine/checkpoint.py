"""Checkpoints: saved whole or not at all, found again, loaded by all processes together."""

import contextlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode

from slowfast.config.coerce import short
from slowfast.datasets.labels import class_key, load_label_list
from slowfast.errors import UserError
from slowfast.models.registry import MODEL_REGISTRY, VideoModel
from slowfast.models.weights.class_order import HeadRules
from slowfast.models.weights.files import load_plain
from slowfast.models.weights.integrity import (
    HASHES_KEY,
    check_archive,
    tensor_hashes,
)
from slowfast.models.weights.load import apply_translation
from slowfast.models.weights.report import WeightsReport
from slowfast.models.weights.sources import translate_source
from slowfast.models.weights.translation import Translation
from slowfast.runtime import distributed
from slowfast.runtime.files import make_folder, system_cause, writing

logger = logging.getLogger(__name__)

_NAME = "checkpoint_epoch_{:05d}.pyth"
_PATTERN = re.compile(r"checkpoint_epoch_(\d{5})\.pyth")
BEST_NAME, LAST_NAME = _ALWAYS = "checkpoint_best.pyth", "checkpoint_last.pyth"


class CheckpointFolder:
    """The checkpoints of one run, in ``output_dir``/checkpoints.

    A file holds ``model_state``, ``ema_state``, ``optimizer_state`` and ``scaler_state``; ``epoch`` (0-based, the last
    one finished, -1 for none) and ``step`` (steps done of the one after it, of ``videos_per_step`` videos each in the
    order that ``seed`` gives); ``rank_states`` (random generators and running averages, one entry per process);
    ``best_accuracy`` and ``num_without_best`` (validations since then); ``config`` (resolved, as YAML), ``class_names``
    (or None), ``versions`` and ``tensor_hashes`` (of the states of model, EMA and optimizer): tensors and plain
    containers only, read with ``weights_only=True``.

    Args:
        output_dir: of the run; the folder is made with the first checkpoint.
        num_kept: of the checkpoints of epochs, the newest; 0 keeps all.

    Attributes:
        before_save: called first by ``save``; raises if the folder is not the run's any more.
    """

    def __init__(self, output_dir: Path, num_kept: int = 0) -> None:
        self.folder = output_dir / "checkpoints"
        self.num_kept = num_kept
        self.before_save: Callable[[], None] = lambda: None
        self._saved_at = time.monotonic()

    def epochs(self) -> list[Path]:
        """The checkpoints of epochs, the oldest first."""
        return sorted(path for path in self._files() if _PATTERN.fullmatch(path.name))

    def all(self) -> list[Path]:
        """The checkpoints of epochs, the oldest first, then the best and the last."""
        return [*self.epochs(), *sorted(path for path in self._files() if path.name in _ALWAYS)]

    def best(self) -> Path | None:
        """The checkpoint of the highest validation accuracy, or None."""
        path = self.folder / BEST_NAME
        return path if os.path.isfile(path) else None

    def newest(self) -> Path | None:
        """The checkpoint that is furthest in training among those that are whole, or None if there is none at all.

        Others are named in a warning. Checksums are compared from the furthest one on, until one is whole.

        Raises:
            UserError: if there are checkpoints and none is whole.
        """
        candidates = [path for path in self._files() if _PATTERN.fullmatch(path.name) or path.name in _ALWAYS]
        positions: dict[Path, tuple[int, int, int]] = {}
        damaged: list[str] = []

        def leave_out(path: Path, error: UserError) -> None:
            damaged.append(path.name)
            cause = re.sub("^cannot be read as a checkpoint: ", "", str(error).removeprefix(f"{path}: "))
            logger.warning("%s cannot be read and is left out: %s", path, cause)

        for path in sorted(candidates):
            try:
                # Mapped, not read: only the directory at the end of the file, which a truncated one lacks.
                content = load_plain(path, is_mapped=True)
                # Of several names for one file, that of the epoch tells most.
                preference = _ALWAYS.index(path.name) if path.name in _ALWAYS else len(_ALWAYS)
                positions[path] = (_count(content, "epoch", path, -1), _count(content, "step", path, 0), preference)
            except UserError as error:
                leave_out(path, error)
        for path in sorted(positions, key=positions.__getitem__, reverse=True):
            try:
                check_archive(path)
                return path
            except UserError as error:
                leave_out(path, error)
        if damaged:
            raise UserError(
                f"{self.folder}: none of the checkpoints can be read ({', '.join(damaged)}); remove them, or set "
                f"TRAIN.AUTO_RESUME False, to train from the beginning"
            )
        return None

    def is_due(self, period_s: float) -> bool:
        """Whether the last checkpoint was written longer ago than ``period_s`` seconds; 0 is never due."""
        return 0 < period_s <= time.monotonic() - self._saved_at

    def save(self, content: dict[str, Any], *, is_epoch: bool = False, is_best: bool = False) -> Path:
        """Write checkpoint_last.pyth, under a temporary name first.

        Args:
            content: what a checkpoint holds, but for the hashes.
            is_epoch: keep it as the checkpoint of its ``epoch``, too, and delete those beyond ``num_kept``.
            is_best: keep it as the best checkpoint, too.

        Returns:
            The file, under the name that stays longest.

        Raises:
            UserError: if it cannot be written; checkpoints of before stay as they are.
        """
        self.before_save()
        make_folder(self.folder)
        last = self.folder / LAST_NAME
        temporary = last.with_name(LAST_NAME + ".tmp")
        names = [BEST_NAME] * is_best + [_NAME.format(content["epoch"])] * is_epoch
        try:
            # One that a killed process left may be the best checkpoint's file under a second name: never write into it.
            temporary.unlink(missing_ok=True)
            with temporary.open("wb") as file:
                torch.save(content | {HASHES_KEY: tensor_hashes(content)}, file)
                file.flush()
                os.fsync(file.fileno())
            # The last one comes last: whoever finds it finds the others, too.
            for name in names:
                _link(temporary, self.folder / name)
            os.replace(temporary, last)
            _sync_folder(self.folder)
        except (OSError, RuntimeError) as error:  # PyTorch turns what goes wrong with a file into a RuntimeError
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise UserError(
                f"{last} cannot be written ({system_cause(error)}); those before it are whole. Make room, or lower "
                f"TRAIN.NUM_CHECKPOINTS_KEPT, and start the same command again"
            ) from error
        self._saved_at = time.monotonic()
        self._remove_old()
        return self.folder / names[-1] if names else last

    def _remove_old(self) -> None:
        """Delete the checkpoints of epochs beyond ``num_kept``."""
        for path in self.epochs()[: -self.num_kept] if self.num_kept else []:
            with writing(path, "it is one checkpoint too many for TRAIN.NUM_CHECKPOINTS_KEPT"):
                path.unlink(missing_ok=True)

    def put_aside(self) -> None:
        """Rename the folder of another run, if there is one, to checkpoints.1, checkpoints.2, ..."""
        if self._files():
            number = next(i for i in count(1) if not self.folder.with_name(f"{self.folder.name}.{i}").exists())
            with writing(self.folder, "it holds checkpoints of another run; choose another OUTPUT_DIR"):
                self.folder.rename(self.folder.with_name(f"{self.folder.name}.{number}"))

    def remove_halves(self) -> None:
        """Delete what a process that was killed while saving left behind."""
        for path in self._files():
            if path.name.startswith("checkpoint_") and path.suffix == ".tmp":
                with writing(path):
                    path.unlink()

    def _files(self) -> list[Path]:
        if not os.path.isdir(self.folder):
            return []
        try:
            return [path for path in self.folder.iterdir() if os.path.isfile(path)]
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be listed: {error.strerror}; choose another OUTPUT_DIR") from None


def _count(content: dict[str, Any], key: str, path: Path, default: int) -> int:
    """A number of epochs or steps in a checkpoint.

    Raises:
        UserError: if it is no whole number from ``default``.
    """
    value = content.get(key, default)
    if type(value) is not int or not default <= value < 1 << 31:
        raise UserError(f"{path}: its {key} is {short(value)}; accepted: whole numbers from {default}")
    return value


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, replacing what has it; a copy where the file system has no links."""
    temporary = target.with_name(target.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make renamed files outlast a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def head_rules(cfg: CfgNode, class_names: list[str] | None, *, is_test: bool = False) -> HeadRules:
    """How the classifier of a checkpoint becomes ours.

    Args:
        cfg: MODEL.CHECKPOINT_CLASS_ORDER and the keys of the model's family are read.
        class_names: ours, in the order of the labels, or None.
        is_test: every class of ours needs a row.
    """
    family = MODEL_REGISTRY.get(cfg.MODEL.MODEL_NAME).weights
    return HeadRules(
        class_names=class_names,
        load_list=load_label_list,
        class_key=class_key,
        order=cfg.MODEL.CHECKPOINT_CLASS_ORDER,
        resets_other_size=family.resets_classifier(cfg) and not is_test,
        is_test=is_test,
        reset_key=family.classifier_reset_key,
    )


def translate_together(source: str, *, is_ema: bool = False) -> Translation:
    """``translate_source`` in all processes at once; one of each node checks the file, and the others wait for it."""
    translation = translate_source(source, is_ema=is_ema, is_checked=not distributed.leads_node())
    distributed.barrier()
    return translation


def load_together(model: VideoModel, source: str, rules: HeadRules) -> WeightsReport:
    """Load a source into the model of every process; see ``translate_together``."""
    return apply_translation(model, translate_together(source), source, rules)
