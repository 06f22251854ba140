"""Curves of training: what is drawn where."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from slowfast.errors import UserError
from slowfast.visualization.curves import PANELS, draw_curves, medians_of_neighbours, save_figure
from slowfast.visualization.metrics_file import RunMetrics

CURVE_STEP, STEPS_PER_EPOCH = 2, 10


def a_run(name: str, num_lines: int, **changes: list[float | None]) -> RunMetrics:
    """A run with a validation every second epoch; ``changes`` are values of fields of the training lines."""
    lines = []
    for i in range(num_lines):
        step = CURVE_STEP * (i + 1)
        values = {"loss": 3.0 / (i + 1), "top1": 40.0 + i % 3, "grad_norm": 1.0, "lr": 1e-4}
        values |= {"step_time_s": 0.5, "data_time_s": 0.1, "clips_per_s": 32.0}
        values |= {field: own[i] for field, own in changes.items()}
        lines.append({"kind": "train", "step": step, "epoch": (step - 1) // STEPS_PER_EPOCH + 1, **values})
        if step % (2 * STEPS_PER_EPOCH) == 0:
            lines.append({"kind": "val", "step": step, "epoch": step // STEPS_PER_EPOCH, "top1": 50.0, "top5": 80.0})
    return RunMetrics(name, lines)


def panels(figure: Figure) -> dict[str, Axes]:
    axes = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}
    assert list(axes) == [panel.title for panel in PANELS]
    return axes


def drawn(figure: Figure) -> Figure:
    """The figure, drawn whole though coarsely; a warning of Matplotlib or NumPy is a failure."""
    figure.set_dpi(40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    return figure


def test_each_panel_has_the_values_of_the_log():
    axes = panels(drawn(draw_curves([a_run("a", 20)])))
    (loss,) = axes["loss"].lines
    assert loss.get_xdata().tolist() == [2 * (i + 1) for i in range(20)]
    np.testing.assert_allclose(loss.get_ydata(), [3.0 / (i + 1) for i in range(20)])
    assert [line.get_ydata()[-1] for line in axes["accuracy (%)"].lines] == [41.0, 50.0, 80.0]
    assert axes["accuracy (%)"].lines[1].get_xdata().tolist() == [20, 40]
    assert [line.get_ydata()[0] for line in axes["seconds per step"].lines] == [0.5, 0.1]
    assert axes["clips/s"].lines[0].get_ydata()[0] == 32.0
    labels = [text.get_text() for text in axes["accuracy (%)"].get_legend().get_texts()]
    assert labels == ["training, top-1", "validation, top-1", "validation, top-5"]


def test_one_run_is_the_title_and_has_a_colour_for_each_curve():
    figure = drawn(draw_curves([a_run("a $run$ of mine", 20)]))
    assert figure.get_suptitle() == r"a \$run\$ of mine" and not figure.legends
    assert len({to_hex(line.get_color()) for line in panels(figure)["accuracy (%)"].lines}) == 3


def test_several_runs_have_a_colour_each_and_are_named():
    runs = [a_run("short", 5), a_run("_long", 20)]
    figure = drawn(draw_curves(runs))
    (legend,) = figure.legends
    assert [text.get_text().strip() for text in legend.get_texts()] == ["short", "_long"]
    colors = [to_hex(handle.get_color()) for handle in legend.get_lines()]
    for axes in panels(figure).values():
        assert {to_hex(line.get_color()) for line in axes.lines} == set(colors)
    losses = panels(figure)["loss"].lines
    assert [len(line.get_xdata()) for line in losses] == [5, 20]
    assert [to_hex(line.get_color()) for line in losses] == colors


def test_epochs_are_above_where_all_runs_have_as_many_steps_in_one():
    def num_epoch_axes(runs: list[RunMetrics]) -> int:
        (loss, *_) = panels(draw_curves(runs)).values()
        assert all(axes.get_xlabel() == "epochs" for axes in loss.child_axes)
        return len(loss.child_axes)

    assert num_epoch_axes([a_run("a", 20), a_run("b", 40)]) == 1
    assert num_epoch_axes([a_run("a", 20), a_run("not validated yet", 5)]) == 0
    figure = drawn(draw_curves([a_run("a", 20)]))
    (top,) = panels(figure)["loss"].child_axes
    steps, epochs = panels(figure)["loss"].get_xlim(), top.get_xlim()
    np.testing.assert_allclose(epochs, [step / STEPS_PER_EPOCH for step in steps])


def test_gaps_stay_and_what_stands_alone_is_marked():
    values: list[float | None] = [1.0] * 40
    values[10:13] = [None, 2.0, None]
    axes = panels(drawn(draw_curves([a_run("a", 40, lr=values)])))
    (line,) = axes["learning rate"].lines
    assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [10, 12]
    assert line.get_marker() == "o" and line.get_markevery() == [11]
    assert axes["loss"].lines[0].get_markevery() == []


def test_a_single_line_is_a_point_that_is_seen():
    figure = drawn(draw_curves([a_run("a", 1)]))
    for axes in panels(figure).values():
        for line in axes.lines:
            assert line.get_marker() == "o" and line.get_markevery() == [0]
            (x,), (y,) = line.get_xdata(), line.get_ydata()
            assert axes.get_xlim()[0] < x < axes.get_xlim()[1] and axes.get_ylim()[0] < y < axes.get_ylim()[1]
        assert [tick for tick in axes.get_xticks() if tick != int(tick)] == []


@pytest.mark.slow
def test_values_that_are_not_there_yet_are_said_to_be():
    run = a_run("a", 5, grad_norm=[None] * 5)
    axes = panels(drawn(draw_curves([run])))["norm of the gradient"]
    assert [text.get_text() for text in axes.texts] == ["no values yet"] and not axes.lines


@pytest.mark.parametrize(
    ("norms", "scale"),
    [
        ([1.0] * 9 + [9.0], "linear"),
        ([1.0] * 9 + [500.0], "log"),
        ([1.0] * 9 + [1e-3], "log"),
        ([0.0, 500.0], "linear"),
    ],
)
def test_widely_spread_values_are_on_a_log_scale(norms, scale):
    axes = panels(draw_curves([a_run("a", len(norms), grad_norm=norms)]))
    assert axes["norm of the gradient"].get_yscale() == scale
    assert axes["learning rate"].get_yscale() == "linear"


def test_noise_of_long_runs_is_pale_beneath_its_medians():
    losses: list[float | None] = [1.0 + (i % 2) + 1000.0 * (i == 700) for i in range(1000)]
    losses[300:600] = [None] * 300
    pale, medians = panels(drawn(draw_curves([a_run("a", 1000, loss=losses)])))["loss"].lines
    assert pale.get_alpha() < 0.5 and len(pale.get_xdata()) == 1000
    values = medians.get_ydata()
    assert np.flatnonzero(np.isnan(values)).tolist() == [*range(30, 60)]
    assert set(values[np.isfinite(values)]) == {1.5, 2.0}  # the outlier moves its median to another of the values


def test_medians_keep_steps_and_values_together():
    steps, values = medians_of_neighbours(np.arange(10), np.array([0, 1, 2, 3, 9, *[np.nan] * 3, 7, 8]), 2)
    assert steps.tolist() == [2.0, 7.0]
    assert values[0] == 2.0 and np.isnan(values[1])


def test_more_runs_than_colours_are_drawn():
    figure = drawn(draw_curves([a_run(f"run {i} with a name that is {'very ' * 20}long", 3) for i in range(12)]))
    assert len(figure.legends[0].get_texts()) == 12
    assert all(len(text.get_text()) <= 60 for text in figure.legends[0].get_texts())


def test_pictures_that_cannot_be_written_are_refused(tmp_path: Path):
    figure = draw_curves([a_run("a", 2)])
    with pytest.raises(UserError, match=r"a\.xyz: the suffix names no format of pictures; accepted: .*png"):
        save_figure(figure, tmp_path / "a.xyz")
    with pytest.raises(UserError, match="it cannot be written: No such file or directory"):
        save_figure(figure, tmp_path / "none" / "a.png")
