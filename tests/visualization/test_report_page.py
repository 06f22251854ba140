"""Pictures of the page of a test."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from slowfast.visualization.report_page import picture_of_frames


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (90, 120, (480, 90)),
        (240, 320, (480, 90)),
        (1, 1, (360, 90)),
        (8000, 16, (4, 90)),
        (90, 360, (1440, 90)),
        (16, 8000, (1440, 1)),
        (1, 60000, (1440, 1)),
    ],
)
def test_frames_of_any_form_become_a_strip(height: int, width: int, expected: tuple[int, int]):
    address = picture_of_frames([np.full((height, width, 3), 200, np.uint8)] * 4, 90)
    strip = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))))
    strip.load()
    assert strip.size == expected
    assert np.asarray(strip).min() > 180
