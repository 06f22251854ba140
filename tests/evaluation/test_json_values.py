"""Reports that somebody has edited: one line, whatever is in them."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slowfast.errors import UserError
from slowfast.evaluation.json_values import from_json
from slowfast.evaluation.probes.probe_report import ProbeReport
from slowfast.evaluation.report_files import load_report
from slowfast.evaluation.several.ensemble import write_ensemble
from slowfast.evaluation.several.merged_report import merge_reports
from slowfast.inference.pages.comparison_files import compare_files, write_comparison_page
from slowfast.inference.pages.report_content import write_page
from tests.evaluation.finished_tests import made_up, write_test

ODD = (None, "x", -1, 10**400, [], {}, True, "\ud800", [None, None])
PROBES = {
    "measure": "top1",
    "videos": 12,
    "normal": 70.0,
    "probes": {"reversed": {"value": 1.0, "gap": 2.0, "interval": [1.0, None], "orders": [[1, 0]]}},
}


def places(node: Any, at: tuple = ()) -> Iterator[tuple]:
    """Of all values in JSON, but of arrays only the first two."""
    yield at
    inner = node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, list) else ()
    for name, value in inner:
        yield from places(value, (*at, name))


def replaced(content: Any, at: tuple, value: object) -> Any:
    if not at:
        return value
    content = copy.deepcopy(content)
    inner = content
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = value
    return content


def test_a_report_with_any_value_replaced_is_read_or_refused_in_one_line(tmp_path: Path):
    scores, labels = made_up(0, 12, 3, 0.7)
    failures = [("bad.mp4", "gone")]
    a, b = (write_test(tmp_path / name, scores, labels, failures=failures) for name in "ab")
    other = write_test(tmp_path / "c", scores, labels, paths=[f"c{row}" for row in range(12)])
    file = a / "test" / "report.json"
    content = {**json.loads(file.read_text()), "probes": PROBES}
    num_refused = num_read = 0
    for at in places(content):
        for value in ODD:
            file.write_text(json.dumps(replaced(content, at, value)))
            try:
                load_report(file)
                num_read += 1
            except UserError as error:
                num_refused += 1
                assert "\n" not in str(error) and str(error).startswith(str(file))
                continue
            out = tmp_path / f"{num_read}"
            for use in (
                lambda: write_page(a, output=tmp_path / "page.html", has_frames=False),
                lambda: write_comparison_page(tmp_path / "page.html", compare_files(a, b)),
                lambda out=out: write_ensemble([a, b], out / "ensemble"),
                lambda out=out: merge_reports([a, other], out / "merged"),
            ):
                try:
                    use()
                except UserError as error:
                    assert "\n" not in str(error)
    assert num_refused > 3 * num_read > 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"intervals": {"top1": [1]}}, "intervals.top1 is [1], not an array of 2 values"),
        ({"scored": "12"}, "scored is '12', not a whole number from 0 on"),
        ({"run": {"seconds": 1}}, "run.config_sha256 is missing"),
        ({"note of\nmine": 1}, "'note of\\nmine' is no field of it"),
        ({"setting": 10 * ["abcdefgh"]}, "setting is ['abcdefgh', 'abcdefgh', 'abcdefgh', 'ab..., not an object"),
    ],
)
def test_the_field_is_named(change: dict, told: str, tmp_path: Path):
    run = write_test(tmp_path, *made_up(0, 12, 3, 0.7))
    file = run / "test" / "report.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(UserError) as error:
        load_report(run)
    assert str(error.value) == f"{file}: is no report of a test of this version; test again ({told})"


def test_null_is_a_number_that_json_has_not():
    probes = from_json(ProbeReport, PROBES)
    low, high = probes["probes"]["reversed"]["interval"]
    assert low == 1.0 and math.isnan(high)
