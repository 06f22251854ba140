"""Pages as a real browser shows them: Chromium without a window."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


def data_of(page: str) -> dict[str, Any]:
    """What the program of a page works on."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def opened(page: Path, folder: Path, script: str = "") -> tuple[str, str]:
    """Open a page, run a script of the test's in it, and wait until it has come to rest.

    Args:
        page: the file.
        folder: for the browser's own files, and the page with the script.
        script: JavaScript, run after the page's own.

    Returns:
        The document as it is then, and what the page wrote to the console.
    """
    copy = folder / "opened.html"
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}", "--dump-dom"]
    outcome = subprocess.run(
        [CHROMIUM, *words, "--enable-logging=stderr", "--virtual-time-budget=3000", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    console = [line for line in outcome.stderr.splitlines() if "CONSOLE" in line]
    return outcome.stdout, "\n".join(console)
