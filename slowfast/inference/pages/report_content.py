"""What ``report.html`` shows of a finished test: from its files, and from the videos where they can be read."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from slowfast.config import get_cfg, load_config
from slowfast.config.load import difference, flatten
from slowfast.errors import UserError
from slowfast.evaluation.probes.probe_report import GAPS, MEASURES, ProbeReport
from slowfast.evaluation.report import Source, TestReport
from slowfast.evaluation.report_files import ScoredVideos, report_file
from slowfast.evaluation.scored_files import load_scored, refuse_own_file
from slowfast.inference.pages.contact_sheets import contact_sheets
from slowfast.inference.pages.shown_names import ShownNames
from slowfast.runtime.files import write_text
from slowfast.visualization.curves import draw_curves
from slowfast.visualization.metrics_file import FILE_NAME, load_runs
from slowfast.visualization.report_page import (
    Page,
    Problem,
    picture_of_figure,
    render_page,
)
from slowfast.visualization.templates import Headline

PAGE_NAME = "report.html"
_FIGURES = {
    "top1": "Top-1",
    "top5": "Top-5",
    "mean_class_accuracy": "Mean class accuracy",
    "macro_f1": "Macro F1",
    "mean_average_precision": "Mean average precision",
}

# Of the table of classes; the one that is drawn as a bar stands beside the name, where narrow screens show it.
_COLUMNS = {
    "videos": "Videos",
    "correct": "Correct",
    "predicted": "Predicted",
    "accuracy": "Accuracy %",
    "precision": "Precision %",
    "f1": "F1 %",
    "average_precision": "Average precision %",
}


def write_page(
    run: Path,
    *,
    output: Path | None = None,
    has_frames: bool = True,
    has_paths: bool = True,
    plugins: Sequence[str] = (),
) -> Path:
    """Write the page of a finished test.

    Args:
        run: OUTPUT_DIR of the test, its folder ``test``, or the report.json in it.
        output: file to write; None is report.html beside report.json.
        has_frames: read some videos again, to show their frames.
        has_paths: name the videos by their paths, else by numbers.
        plugins: files of code that the run used.

    Returns:
        The file.

    Raises:
        UserError: if there is no report, its scores were not kept, or the page cannot be written, or would replace one
            of the test's own files.
    """
    report, videos = load_scored(run)
    folder = report_file(run).parent
    output = folder / PAGE_NAME if output is None else output
    refuse_own_file(run, output)
    cfg = _config_of(folder, plugins)
    names = ShownNames(videos.paths, has_paths)
    sheets = contact_sheets(videos, names, cfg) if has_frames and cfg is not None else ()
    page = Page(
        title=f"{report.setting.data_set}: {os.path.basename(report.setting.checkpoint)}",
        subtitle=report.setting.in_words(),
        figures=_headlines(report),
        counts=_counts(report),
        has_intervals=bool(report.intervals),
        problems=_problems(report, names),
        probes=() if report.probes is None else _probes(report.probes),
        curves=_curves(folder.parent),
        **_classes(report, videos),
        **_confusion(report, videos, names),
        sheets=sheets,
        facts=_facts(report, names),
        settings=() if cfg is None else names.settings(dict(flatten(difference(cfg, get_cfg())))),
    )
    write_text(output, render_page(page))
    return output


def _config_of(folder: Path, plugins: Sequence[str]) -> CfgNode | None:
    """The test's config; None where it is not there, or needs code that is not named."""
    try:
        return load_config(folder / "config.yaml", plugins=plugins, may_import=False)
    except UserError:
        return None


def _headlines(report: TestReport) -> list[Headline]:
    figures = []
    for name, told in _FIGURES.items():
        value = getattr(report, name)
        if value is not None:
            interval = report.intervals.get(name)
            note = "" if interval is None else f"95 %: {interval[0]:.1f} to {interval[1]:.1f}"
            figures.append(Headline(told, "no video" if value != value else f"{value:.2f} %", note))
    if report.calibration is not None:
        calibration = report.calibration
        note = f"about {calibration.level:.1f} where probabilities are right"
        if calibration.temperature is not None and calibration.error_with_temperature is not None:
            note += f"; {calibration.error_with_temperature:.1f} with temperature {calibration.temperature:.2f}"
        figures.append(Headline("Calibration error", f"{calibration.error:.1f} %", note))
    return figures


def _counts(report: TestReport) -> str:
    told = f"{report.scored} of {report.expected} videos scored"
    odd = {"could not be read": report.failed, "not finite": report.unscored, "truncated": report.truncated}
    return f"{told}; {', '.join(f'{number} {what}' for what, number in odd.items())}."


def _problems(report: TestReport, names: ShownNames) -> list[Problem]:
    kinds = (
        ("Could not be read", report.failures),
        ("Have scores that are not finite", report.unscored_videos),
        ("End early and were scored up to there", report.truncations),
    )
    return [
        Problem(what, [(names(path), names.text(cause, path)) for path, cause in rows]) for what, rows in kinds if rows
    ]


def _probes(probes: ProbeReport) -> list[list[str]]:
    """A table: the usual order, and what each probe takes away."""
    rows = [
        ["Order of the frames", f"{MEASURES[probes['measure']].capitalize()} %", "Gap, points", "95 %"],
        ["usual", f"{probes['normal']:.2f}", "", ""],
    ]
    for probe, figure in probes["probes"].items():
        named = f" ({GAPS[probe]})" if probe in GAPS else ""
        low, high = figure["interval"]
        told = [f"{figure['value']:.2f}", f"{figure['gap']:.2f}", f"{low:.2f} to {high:.2f}"]
        rows.append([probe.replace("_", " ") + named, *told])
    return rows


def _curves(folder: Path) -> str:
    """Of the training in the folder, if there was one."""
    if not (folder / FILE_NAME).is_file():
        return ""
    try:
        return picture_of_figure(draw_curves(load_runs([folder])))
    except UserError:
        return ""


def _classes(report: TestReport, videos: ScoredVideos) -> dict[str, Any]:
    shown = "average_precision" if videos.labels.ndim == 2 else "accuracy"
    names = [shown, *(name for name in _COLUMNS if name not in (shown, "average_precision"))]
    return {
        "columns": ["Class", *(_COLUMNS[name] for name in names)],
        "classes": [[row.name, *(_rounded(getattr(row, name)) for name in names)] for row in report.classes],
        "bar": 1,
        "sorted_by": 1,
        "class_names": [row.name for row in report.classes],
    }


def _rounded(cell: float | None) -> float | None:
    """As the page shows it: rounded twice, 24.047 would come to 24.1."""
    return round(cell, 1) if isinstance(cell, float) else cell


def _confusion(report: TestReport, videos: ScoredVideos, names: ShownNames) -> dict[str, Any]:
    if videos.labels.ndim == 2 or not len(videos.labels):
        return {}
    predicted = videos.scores.argmax(dim=1)
    probability = videos.probabilities.gather(1, predicted[:, None])[:, 0]
    table = {
        "label": videos.labels.tolist(),
        "predicted": predicted.tolist(),
        "probability": [round(value, 3) for value in probability.tolist()],
        "path": [names(path) for path in videos.paths],
    }
    return {"videos": table, "pairs": [(pair.label, pair.predicted) for pair in report.confused]}


def _facts(report: TestReport, names: ShownNames) -> list[tuple[str, str]]:
    setting, run = report.setting, report.run
    facts = [
        ("Checkpoint", names.file(setting.checkpoint)),
        ("Data set", f"{setting.data_set}, {setting.reads}"),
        ("Classes", " ".join(filter(None, (names.file(setting.class_names), names.text(setting.class_order))))),
        ("Channel order", setting.channel_order),
    ]
    if report.calibration is not None:
        facts.append(("Probabilities", report.calibration.probabilities))
    if run is not None:
        facts += [
            ("Time", f"{run.seconds:.1f} s, {run.videos_per_s:.2f} videos/s"),
            ("SHA-256 of the weights", run.weights_sha256),
            ("of the list", run.list_sha256),
            ("of the config", run.config_sha256),
            ("Commit", run.git_commit or "not known"),
            ("Versions", ", ".join(f"{name} {value}" for name, value in run.versions.items() if value)),
        ]
    facts += [(f"Test of weight {source.weight:.4g}", _told(source, names)) for source in report.sources or ()]
    return [(name, value) for name, value in facts if value]


def _told(source: Source, names: ShownNames) -> str:
    """A test of an ensemble."""
    path, checkpoint = names.file(source.path), names.file(source.setting.checkpoint)
    told = f"{path}: {checkpoint}, {source.setting.in_words()}, top-1 {source.top1:.2f} %"
    hashes = f"SHA-256 of its scores {source.scores_sha256}"
    return f"{told}; {hashes}" + ("" if source.run is None else f", of its weights {source.run.weights_sha256}")
