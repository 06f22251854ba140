"""What loading did with the weights of a source."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from slowfast.models.weights.class_order import HeadPlan
from slowfast.runtime import distributed

logger = logging.getLogger(__name__)


@dataclass
class WeightsReport:
    """What became of a source's weights.

    Attributes:
        source: file, address or timm:<model>.
        layout: what it was recognised as.
        matched: our names that got weights; ``inflated``, ``resized`` and ``remapped`` are among them.
        inflated: kernels that were given a length in time.
        resized: positional embeddings of another grid.
        remapped: our names whose weights have another name in the source or were computed from it: that name.
        skipped: names of the source that we have no use for.
        missing: our names that the source does not have and that keep their initialisation.
        head: what became of the classifier; None if neither has one.
    """

    source: str
    layout: str
    matched: list[str] = field(default_factory=list)
    inflated: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    remapped: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    head: HeadPlan | None = None

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [f"weights from {self.source}: {self.layout}, {len(self.matched)} weights loaded"]
        renamed = [f"{old} -> {new}" for new, old in self.remapped.items()]
        for what, names in (
            ("inflated", self.inflated),
            ("resized", self.resized),
            ("remapped", renamed),
            ("skipped, not used here", self.skipped),
            ("missing, initialised afresh", self.missing),
        ):
            if names:
                lines.append(f"  {what}: {len(names)} ({summary(names)})")
        if self.head is not None:
            lines.append(f"  classifier: {self.head.note}")
            for what, names in (("classes without a row", self.head.fresh), ("rows not used", self.head.unused)):
                if names:
                    lines.append(f"  {what}: {len(names)} ({first(names, 8)})")
        return lines

    def log(self) -> None:
        """Log it on rank 0; what became of the classifier as a warning if it is one."""
        if not distributed.is_main():
            return
        for line in self.lines():
            is_warning = self.head is not None and self.head.is_warning and self.head.note in line
            logger.log(logging.WARNING if is_warning else logging.INFO, line)


def first(names: Sequence[str], count: int) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def summary(names: Sequence[str]) -> str:
    """Names of modules instead of weights and without the numbers of their blocks, so that one line tells of all."""
    modules = (re.sub(r"\.(weight|bias|running_\w+|num_batches_tracked)(?= |$)", "", name) for name in names)
    kinds = dict.fromkeys(re.sub(r"(blocks\d?|layers|dec|dpe)\.\d+", r"\1.*", name) for name in modules)
    return first(list(kinds), 20)
