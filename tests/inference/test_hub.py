"""Model folders on a hub: a server on this machine that speaks as the hub does, and a stand-in for pushing."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from slowfast.errors import UserError
from slowfast.inference import load_model, publish
from slowfast.inference.folder import hub
from tests.inference.models import small_classifier

pytest.importorskip("huggingface_hub")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROOT = Path(__file__).parents[2]


class Hub(BaseHTTPRequestHandler):
    """One repository, me/waving: its listing and its files, at the addresses of the hub."""

    def __init__(self, *arguments: object, folder: Path) -> None:
        self.folder = folder
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def _answer(self, *, has_body: bool) -> None:
        parts = self.path.partition("?")[0].split("/")
        names = sorted(path.name for path in self.folder.iterdir())
        if parts[1:5] == ["api", "models", "me", "waving"]:
            siblings = [{"rfilename": name} for name in names]
            body = json.dumps({"id": "me/waving", "modelId": "me/waving", "sha": COMMIT, "siblings": siblings}).encode()
            if "tree" in parts:
                listed = [{"type": "file", "path": name, "oid": "1", "size": 1} for name in names]
                body = json.dumps(listed).encode()
            self._send(200, body, {}, has_body=has_body)
        elif parts[1:4] == ["me", "waving", "resolve"] and parts[-1] in names:
            body = (self.folder / parts[-1]).read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._send(200, body, headers, has_body=has_body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, has_body=has_body)

    def _send(self, status: int, body: bytes, headers: dict[str, str], *, has_body: bool) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if has_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = publish(small_classifier("uniformerv2"), tmp_path_factory.mktemp("hub") / "model")
    (folder / "code.py").write_text("raise SystemExit('code of a repository ran')")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, folder=folder))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def in_a_process(code: str, address: str, cache: Path) -> subprocess.CompletedProcess:
    """The library reads its address once, when it is imported."""
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    environment |= {"HF_HUB_DISABLE_XET": "1", "no_proxy": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_a_model_is_fetched_and_proved(address: str, tmp_path: Path):
    code = """
import slowfast
from slowfast.errors import UserError
for name in ("hf:me/waving", "hf:me/waving@main"):
    model = slowfast.load_model(name, device="cpu")
    print(model.proof, model.class_names[0])
try:
    slowfast.load_model("hf:me/jumping")
except UserError as error:
    print(error)
"""
    done = in_a_process(code, address, tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    assert all("published function" in line and line.endswith("waving") for line in lines[:2])
    assert lines[2].startswith("hf:me/jumping: cannot be fetched: ")
    assert not list(tmp_path.rglob("code.py")), "nothing but the files of a model folder is fetched"


@pytest.mark.parametrize("name", ["hf:", "hf:waving", "hf:me/../x", "hf:me/waving@", "hf:me/a/b"])
def test_names_of_another_form_are_told(name: str):
    with pytest.raises(UserError, match=r"; accepted: hf:owner/name or hf:owner/name@revision$"):
        load_model(name)


def test_a_folder_is_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []

    class Api:
        def create_repo(self, name: str, **options: object) -> None:
            calls.append(("create", name, options))

        def upload_folder(self, **options: object) -> SimpleNamespace:
            if options["repo_id"] == "me/refused":
                raise RuntimeError("401 Client Error\nadvice")
            calls.append(("upload", options["repo_id"], options["folder_path"]))
            return SimpleNamespace(commit_url="https://hub/commit/1")

    monkeypatch.setattr(hub, "_library", lambda: SimpleNamespace(HfApi=Api))
    assert hub.push_folder(tmp_path, "me/waving") == "https://hub/commit/1"
    assert calls == [("create", "me/waving", {"exist_ok": True}), ("upload", "me/waving", str(tmp_path))]
    with pytest.raises(UserError, match=r"^me/refused: .* cannot be pushed: 401 Client Error$"):
        hub.push_folder(tmp_path, "me/refused")


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        UserError, match=r"needs the package huggingface_hub, .*; pip install 'uniformer-video\[hub\]'$"
    ):
        load_model("hf:me/waving")
