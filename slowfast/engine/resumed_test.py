"""Whether the scores that a test has kept, before it was cut off, are those of the test that is to go on."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

import slowfast
from slowfast.config.load import flatten
from slowfast.config.sections import sections_in_use
from slowfast.datasets.clip_dataset import EvalClipDataset
from slowfast.engine.kept_scores import KeptScores
from slowfast.engine.scoring import Scorer
from slowfast.errors import UserError
from slowfast.models.weights.integrity import tensor_hashes
from slowfast.runtime import distributed

logger = logging.getLogger(__name__)

FOLDER_NAME = "partial"
# Sections whose keys may change scores, beside the model family's own. A key that is new is one of these until it is
# named below: a test that is refused costs less than one whose scores are of two kinds.
_SECTIONS = ("DATA", "MODEL", "TEST")
# Keys in them that change no score, or do so through what is compared by itself: the weights, the list, the precision.
WITHOUT_EFFECT = {
    *("DATA.CLASS_NAMES_FILE", "DATA.PATH_PREFIX", "DATA.PATH_TO_DATA_DIR"),
    *("MODEL.CHECKPOINT_CLASS_ORDER", "MODEL.COMPILE", "MODEL.EMA_DECAY", "MODEL.EMA_EPOCH", "MODEL.WEIGHTS_DIR"),
    *("TEST.AUTO_RESUME", "TEST.CHECKPOINT_FILE_PATH", "TEST.ENABLE", "TEST.TEST_BEST", "TEST.USE_EMA"),
    *("TEST.MIXED_PRECISION", "TEST.SCORES", "TEST.PAGE", "TEST.FIT_TEMPERATURE"),
}
NUM_TOLD = 4
_LAST_BITS = ("device", "torch", "slowfast")


@dataclass(frozen=True)
class Resumption:
    """How a test goes on, or begins.

    Attributes:
        kept: the file of this process.
        heading: what this test scores, and by what.
        dropped: in words, why what is kept there is not of use; "" if it is, or if there is nothing.
    """

    kept: KeptScores
    heading: Mapping[str, Any]
    dropped: str

    @contextmanager
    def keeping(self, dataset: EvalClipDataset) -> Iterator[KeptScores]:
        """Keep scores while the test runs, as a context; all processes call this together."""
        kept = self.kept
        if self.dropped and distributed.is_main():
            logger.warning("%s: scores of another test are dropped: %s", kept.path.parent, self.dropped)
        if kept.heading is not None and kept.heading["scored"] == self.heading["scored"]:
            self._warn_of_another_machine()
            kept.go_on()
        else:
            kept.begin(self.heading)
        _remove_other_files(kept)
        num_kept = sum(distributed.gather_everywhere(kept.num_videos))
        if num_kept:
            told = (num_kept, len(dataset), kept.path.parent)
            logger.info("%d of %d videos are scored already, before the test was cut off (%s)", *told)
        try:
            yield kept
        finally:
            kept.close()

    def _warn_of_another_machine(self) -> None:
        """Where the last bits of scores may differ."""
        old, new = self.kept.heading["by"], self.heading["by"]
        differ = [f"{name} is {new[name]} and was {old[name]}" for name in _LAST_BITS if old[name] != new[name]]
        if self.kept.parts and differ:
            logger.warning("scores that are kept may differ in their last bits from the others: %s", ", ".join(differ))


def find_kept_scores(
    cfg: CfgNode, folder: Path, model: nn.Module, dataset: EvalClipDataset, *, scorer: Scorer, source: str
) -> Resumption:
    """Look for scores of the same test that were kept before it was cut off; all processes call this together.

    Without ``TEST.AUTO_RESUME`` a test begins anew. So does one that follows a training in the same command where the
    scores are of another test: nobody is there to be asked after days, and the weights of before are gone.

    Args:
        cfg: the whole config.
        folder: of the test; a finished test has a report there.
        model: with the weights that are tested.
        dataset: of the test list.
        scorer: how it is scored.
        source: of the weights, for messages.

    Raises:
        UserError: if scores of another test are there.
    """
    kept = KeptScores(folder / FOLDER_NAME / f"rank_{distributed.rank():05d}.scores")
    by = {"checkpoint": source, "device": _name_of(scorer.device)}
    by |= {"torch": str(torch.__version__), "slowfast": slowfast.__version__}
    heading = {"scored": what_is_scored(cfg, model, dataset, scorer), "by": by}
    if not cfg.TEST.AUTO_RESUME:
        kept.forget()
    told = distributed.gather_everywhere([] if kept.heading is None else _differences(kept.heading, heading))
    differences = next(filter(None, told), [])
    if differences:
        kept.forget()
        if distributed.from_main(distributed.is_main() and _is_left_over(folder)):
            differences = []
    dropped = ", ".join(differences[:NUM_TOLD])
    if len(differences) > NUM_TOLD:
        dropped += f" and {len(differences) - NUM_TOLD} more"
    if dropped and not cfg.TRAIN.ENABLE:
        raise UserError(
            f"{kept.path.parent}: a test was cut off here, and its scores are of another one: {dropped}; start that "
            f"one again to finish it, choose another OUTPUT_DIR, or drop its scores with TEST.AUTO_RESUME False"
        )
    return Resumption(kept, heading, dropped)


def what_is_scored(cfg: CfgNode, model: nn.Module, dataset: EvalClipDataset, scorer: Scorer) -> dict[str, Any]:
    """All that scores depend on, as JSON values; keys with a capital are the config's."""
    sections = tuple(f"{name}." for name in (*_SECTIONS, *(section.name for section in sections_in_use(cfg))))
    keys = {key: value for key, value in flatten(cfg) if key.startswith(sections) and key not in WITHOUT_EFFECT}
    # One process computes: of large models that takes a second.
    hashed = tensor_hashes({"model_state": model.state_dict()})["model_state"] if distributed.is_main() else ""
    told = {
        "weights": distributed.from_main(hashed),
        "list": list_hash(dataset),
        "videos": len(dataset),
        "precision": str(scorer.autocast_dtype or torch.float32).removeprefix("torch."),
        "processes": distributed.world_size(),
        **keys,
    }
    return json.loads(json.dumps(told))  # as it is read again: tuples become lists


def list_hash(dataset: EvalClipDataset) -> str:
    """SHA-256 of all rows of a test list, paths and labels, in their order."""
    digest = hashlib.sha256()
    for record in dataset.records:
        digest.update(json.dumps(record).encode() + b"\n")
    return digest.hexdigest()


def _name_of(device: torch.device) -> str:
    """What may change the last bits of scores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def _differences(found: Mapping[str, Any], heading: Mapping[str, Any]) -> list[str]:
    """In words, what the kept scores are of and this test is not."""
    old, new = found["scored"], heading["scored"]
    told = []
    for name in dict.fromkeys([*new, *old]):
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        if name == "weights":
            one, other = found["by"]["checkpoint"], heading["by"]["checkpoint"]
            told.append(f"the weights are of {other} and were of {one}" if one != other else f"{one} has other weights")
        elif name == "list":
            told.append("the test list has other paths or labels")
        elif name == "videos":
            told.append(f"it has {now} videos and had {before}")
        elif name == "processes":
            told.append(f"there are {now} processes and were {before}")
        else:
            told.append(f"{name} is {now} and was {before}")
    return told


def _is_left_over(folder: Path) -> bool:
    """Whether a report was written after the last scores were kept: by a test that was killed just before its end."""
    with suppress(OSError):
        last = max(path.stat().st_mtime_ns for path in (folder / FOLDER_NAME).iterdir())
        return (folder / "report.json").stat().st_mtime_ns >= last
    return False


def _remove_other_files(kept: KeptScores) -> None:
    """Of a test in more processes that has begun anew."""
    if not distributed.is_main():
        return
    for path in kept.path.parent.glob("rank_*.scores"):
        if int(path.stem.removeprefix("rank_")) >= distributed.world_size():
            with suppress(OSError):
                os.remove(path)
