"""Files of weights: found, downloaded, checked and read without running code."""

import hashlib
import logging
import threading
import types
import warnings
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from slowfast.config import load_config
from slowfast.errors import UserError
from slowfast.models.weights import downloads
from slowfast.models.weights.downloads import direct_address
from slowfast.models.weights.files import find_weights, read_checkpoint, state_dict_of
from slowfast.models.weights.load import load_source
from tests.models.weights.image_vits import CLIP, TEXT_TOWER, assert_same_tokens, image_vit
from tests.models.weights.layouts import TINY_V1, TINY_V2, clip_names, golden_weights, rules, tiny_cfg, tiny_v1, tiny_v2

PAGE = b"\n<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title></html>"


# ---------------------------------------------------------------- reading


def test_pytorch_files_are_read_without_code(tmp_path):
    path = tmp_path / "weights.pyth"
    torch.save({"model_state": {"a": torch.ones(2)}, "epoch": 3}, path)
    assert read_checkpoint(path)["epoch"] == 3
    torch.save({"model_state": {"a": torch.ones(2)}, "meta": types.SimpleNamespace(time="now")}, path)
    with pytest.raises(UserError, match=r"holds an object of types\.SimpleNamespace.*save its weights alone") as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)
    torch.save({"a": torch.ones(2), "best": np.float64(1.0)}, path)
    with pytest.raises(UserError, match="it holds an object of numpy"):
        read_checkpoint(path)


def test_safetensors_are_read_by_suffix_or_content(tmp_path):
    save_file({"a": torch.arange(3.0)}, tmp_path / "weights.safetensors")
    (tmp_path / "cached").write_bytes((tmp_path / "weights.safetensors").read_bytes())
    for name in ("weights.safetensors", "cached"):
        assert read_checkpoint(tmp_path / name)["a"].tolist() == [0, 1, 2]
    (tmp_path / "weights.safetensors").write_bytes(b"nonsense" * 9)
    with pytest.raises(UserError, match=r"cannot be read as \.safetensors"):
        read_checkpoint(tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read as a checkpoint: it is empty or ends early; the file is damaged; copy or download it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a pointer of Git LFS, not weights; fetch"),
        (
            b"hello, these are my notes",
            "cannot be read as a checkpoint: it is no file that PyTorch has saved, or it is damaged",
        ),
        (b"PK\x03\x04 cut off", "cannot be read as a checkpoint"),
        (PAGE, "is a web page, not weights; download the weights in a browser"),
    ],
)
def test_damaged_files(tmp_path, content, told):
    (tmp_path / "weights.pyth").write_bytes(content)
    with pytest.raises(UserError, match=told):
        read_checkpoint(tmp_path / "weights.pyth")


def test_missing_files_and_other_content(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint file"):
        read_checkpoint(tmp_path / "weights.pyth")
    torch.save([torch.ones(2)], tmp_path / "list.pyth")
    with pytest.raises(UserError, match="holds a list, expected a dictionary of weights"):
        read_checkpoint(tmp_path / "list.pyth")


@pytest.mark.parametrize("wrapper", ["model_state", "model", "state_dict", "teacher"])
def test_wrappers_are_taken_off(wrapper):
    weights = {"module.a": torch.ones(1), "module.b": torch.ones(2)}
    assert list(state_dict_of({wrapper: weights, "optimizer": {"c": torch.ones(1)}, "epoch": 1})) == ["a", "b"]
    assert list(state_dict_of({"a": torch.ones(1), "model": "vit", "epoch": 1})) == ["a"]


def test_pytorchs_average_of_a_model_is_read():
    average = torch.optim.swa_utils.AveragedModel(nn.Linear(2, 2)).state_dict()
    assert "n_averaged" in average and list(state_dict_of(average)) == ["weight", "bias"]


# ---------------------------------------------------------------- TorchScript


class Archive(nn.Module):
    """Weights in modules of their names' structure, as TorchScript keeps them."""

    def __init__(self, weights):
        super().__init__()
        for name, value in weights.items():
            *path, leaf = name.split(".")
            module = self
            for part in path:
                if not hasattr(module, part):
                    module.add_module(part, nn.Module())
                module = getattr(module, part)
            module.register_buffer(leaf, value)

    def forward(self, x):
        return x + 1


def save_archive(weights, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Archive(weights), torch.zeros(1)).save(str(path))


def test_openai_archives_are_opened_only_when_named_as_one(tmp_path):
    vit = image_vit(**CLIP)
    vit.load_state_dict({name: value.half().float() for name, value in vit.state_dict().items()})
    weights = {f"visual.{name}": value.half() for name, value in clip_names(vit.state_dict()).items()} | TEXT_TOWER
    numbers = {name: torch.tensor(16) for name in ("input_resolution", "context_length", "vocab_size")}
    path = tmp_path / "ViT-B-16.pt"
    save_archive(weights | numbers, path)
    with pytest.raises(UserError, match=rf"is a TorchScript archive, which is a program; .*name it jit:{path}"):
        load_source(tiny_v2(), str(path), rules())
    model = tiny_v2()
    report = load_source(model, f"jit:{path}", rules())
    assert report.layout == "OpenAI's CLIP"
    assert "vocab_size" in report.skipped
    assert_same_tokens(vit, model)


def test_jit_is_for_archives_only(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="is no TorchScript archive; name it without jit:"):
        read_checkpoint(f"jit:{tmp_path / 'weights.pt'}")
    with zipfile.ZipFile(tmp_path / "broken.pt", "w") as archive:
        archive.writestr("a/constants.pkl", b"")
    with pytest.raises(UserError, match="cannot be read as a TorchScript archive"):
        read_checkpoint(f"jit:{tmp_path / 'broken.pt'}")


# ---------------------------------------------------------------- addresses


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on this machine: ``files`` maps paths to contents, ``requests`` lists what was asked for.

    With one of "length", "no length" and "chunks" in ``cut`` it sends half of a file, announced in this way.
    """
    files, requests, cut = {}, [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            content = files.get(self.path)
            if cut and content:
                self.send_half(content)
                return
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def send_half(self, content):
            half = content[: len(content) // 2]
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            if cut[0] == "length":
                self.send_header("Content-Length", str(len(content)))
            if cut[0] == "chunks":
                self.send_header("Transfer-Encoding", "chunked")
                half = b"%x\r\n" % len(content) + half
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(half)
            self.close_connection = True

        def log_message(self, *args):
            pass

    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(logging.getLogger("iopath"), "disabled", True)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield types.SimpleNamespace(
        address=f"http://127.0.0.1:{httpd.server_port}", files=files, requests=requests, cut=cut
    )
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def weights_file(tmp_path):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "source.pyth")
    return (tmp_path / "source.pyth").read_bytes()


def test_addresses_are_downloaded_once(server, weights_file):
    server.files["/k400/weights.pyth"] = weights_file
    for _ in range(2):
        assert read_checkpoint(f"{server.address}/k400/weights.pyth")["a"].tolist() == [0, 1, 2]
    assert server.requests == ["/k400/weights.pyth"]


@pytest.mark.parametrize("how", ["length", "no length", "chunks"])
def test_a_download_that_stops_short_is_not_kept(server, weights_file, how):
    """Where the server does not say how long the file is, reading it shows that it is not whole."""
    address = f"{server.address}/weights.pyth"
    server.files["/weights.pyth"], server.cut[:] = weights_file, [how]
    with pytest.raises(UserError, match=r"cannot be downloaded: |what arrived is not kept: ") as error:
        read_checkpoint(address)
    assert "name the file instead" in str(error.value) and "\n" not in str(error.value)
    server.cut.clear()
    assert read_checkpoint(address)["a"].tolist() == [0, 1, 2]
    assert len(server.requests) == 2


def test_the_checksum_of_a_download_without_one_is_logged(server, weights_file, caplog):
    address, digest = f"{server.address}/weights.pyth", hashlib.sha256(weights_file).hexdigest()
    server.files["/weights.pyth"] = weights_file
    line = f"SHA-256 {digest} ({address}#sha256={digest[:16]} checks it)"
    for name, told in ((address, [line]), (f"{address}#sha256={digest}", [])):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="slowfast"):
            read_checkpoint(name)
        assert [record.getMessage().partition(": ")[2] for record in caplog.records] == told


def test_checksums_are_compared(server, weights_file):
    server.files["/weights.pyth"] = weights_file
    digest = hashlib.sha256(weights_file).hexdigest()
    address = f"{server.address}/weights.pyth"
    with pytest.raises(UserError, match=f"what arrived has the SHA-256 {digest}, not {'0' * 64}"):
        read_checkpoint(f"{address}#sha256={'0' * 64}")
    for digits in (digest, digest[:8], digest.upper()):
        assert "a" in read_checkpoint(f"{address}#sha256={digits}")
    assert len(server.requests) == 2, "a refused file does not stay in the cache"
    for fragment in ("sha256=12", "md5=12345678"):
        with pytest.raises(UserError, match="accepted after #: sha256= and at least the first 8"):
            read_checkpoint(f"{address}#{fragment}")


def test_pages_and_absent_files_are_refused_with_the_remedy(server, weights_file):
    address = f"{server.address}/weights.pyth"
    with pytest.raises(UserError, match=r"cannot be downloaded: HTTP Error 404.*name the file instead") as error:
        read_checkpoint(address)
    assert "\n" not in str(error.value)
    server.files["/weights.pyth"] = PAGE
    with pytest.raises(UserError, match=rf"{address}: what arrived is a web page, not weights; download the weights"):
        read_checkpoint(address)
    server.files["/weights.pyth"] = weights_file
    assert "a" in read_checkpoint(address), "the page does not stay in the cache"


def test_an_unreachable_server(server):
    with pytest.raises(UserError, match=r"cannot be downloaded: .*name the file instead"):
        read_checkpoint("http://127.0.0.1:9/weights.pyth")


@pytest.mark.parametrize(
    "address",
    [
        "https://drive.google.com/file/d/1-kitVTk_Er/view?usp=sharing",
        "https://drive.google.com/open?id=1-kitVTk_Er",
        "https://drive.google.com/uc?export=download&id=1-kitVTk_Er",
    ],
)
def test_google_drives_viewer_addresses_are_translated(server, weights_file, monkeypatch, address):
    assert direct_address(address).startswith("https://drive.usercontent.google.com/download?id=1-kitVTk_Er&")
    monkeypatch.setattr(downloads, "DRIVE_DOWNLOAD", server.address + "/download?id={}&export=download&confirm=t")
    server.files["/download?id=1-kitVTk_Er&export=download&confirm=t"] = weights_file
    assert read_checkpoint(address)["a"].tolist() == [0, 1, 2]


def test_files_of_google_drive_do_not_share_a_place_in_the_cache(server, weights_file, monkeypatch, tmp_path):
    torch.save({"b": torch.ones(1)}, tmp_path / "other.pyth")
    monkeypatch.setattr(downloads, "DRIVE_DOWNLOAD", server.address + "/download?id={}&confirm=t")
    server.files["/download?id=one&confirm=t"] = weights_file
    server.files["/download?id=two&confirm=t"] = (tmp_path / "other.pyth").read_bytes()
    assert "a" in read_checkpoint("https://drive.google.com/file/d/one/view?usp=sharing")
    assert "b" in read_checkpoint("https://drive.google.com/file/d/two/view?usp=sharing")
    server.files["/download?id=three&confirm=t"] = PAGE
    with pytest.raises(UserError, match=r"is a web page.*Google Drive answers with a page"):
        read_checkpoint("https://drive.google.com/file/d/three/view?usp=sharing")


def test_other_addresses_stay_as_they_are():
    for address in ("https://example.org/file/d/1/view", "https://download.openmmlab.com/a.pth"):
        assert direct_address(address) == address


# ---------------------------------------------------------------- what the config names


def pretrain(keys, model=None, head=None, **changes):
    """Load what a new run of the config starts from."""
    cfg = tiny_cfg(keys, **changes)
    model = model or {"Uniformer": tiny_v1, "Uniformerv2": tiny_v2}[cfg.MODEL.MODEL_NAME]()
    source = model.weights.pretrained_source(cfg)
    return load_source(model, source, head or rules(None)) if source else None


def test_none_starts_at_random():
    assert pretrain(TINY_V2) is None
    for value in (None, "", "none"):
        assert pretrain(TINY_V1, UNIFORMER__PRETRAIN_NAME=value) is None


def test_files_are_found_as_given_or_under_weights_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "weights" / "k400"
    folder.mkdir(parents=True)
    model, weights = tiny_v2(), golden_weights(tiny_v2())
    torch.save({"model_state": weights, "class_names": None}, folder / "a.pyth")
    assert pretrain(TINY_V2, model, UNIFORMERV2__PRETRAIN="k400/a.pyth").source == "weights/k400/a.pyth"
    (tmp_path / "k400").mkdir()
    torch.save({"model_state": weights, "class_names": None}, tmp_path / "k400" / "a.pyth")
    assert pretrain(TINY_V2, model, UNIFORMERV2__PRETRAIN="k400/a.pyth").source == "k400/a.pyth"
    with pytest.raises(UserError, match=r"UNIFORMERV2.PRETRAIN jit:k400/b.pyth: no such file, nor weights/k400/b.pyth"):
        pretrain(TINY_V2, model, UNIFORMERV2__PRETRAIN="jit:k400/b.pyth")
    assert find_weights("https://a.org/b", "weights") == "https://a.org/b"
    assert find_weights("jit:k400/a.pyth", "weights") == "jit:k400/a.pyth"


@pytest.mark.parametrize(
    ("backbone", "n_dim", "file_name", "clip"),
    [
        ("uniformerv2_b16", 768, "vit_b16.pth", "ViT-B/16"),
        ("vit_l14", 1024, "vit_l14.pth", "ViT-L/14"),
        ("uniformerv2_l14_336", 1024, "vit_l14_336.pth", "ViT-L/14@336px"),
    ],
)
def test_empty_pretrain_means_the_backbones_clip_weights(tmp_path, backbone, n_dim, file_name, clip):
    keys = {"UNIFORMERV2.BACKBONE": backbone, "UNIFORMERV2.N_DIM": n_dim, "UNIFORMERV2.N_HEAD": 16}
    keys |= {"MODEL.WEIGHTS_DIR": str(tmp_path), "DATA.TEST_CROP_SIZE": 224}
    with pytest.raises(UserError, match=rf"there is no {tmp_path}/{file_name}; .*OpenAI's CLIP {clip} there") as error:
        pretrain(keys)
    assert "none to start at random" in str(error.value)
    torch.save({"conv2.weight": torch.ones(1)}, tmp_path / file_name)
    with pytest.raises(UserError, match=f"{file_name}: none of its weights"):
        pretrain(keys, tiny_v2())


def test_a_custom_backbone_has_no_clip_weights():
    with pytest.raises(UserError, match="there are none for the backbone custom; set it to a file, or to none"):
        pretrain(TINY_V2, UNIFORMERV2__PRETRAIN="")


def test_names_of_the_uniformer_model_zoo(tmp_path):
    keys = TINY_V1 | {"MODEL.WEIGHTS_DIR": str(tmp_path), "MODEL.NUM_CLASSES": 174}
    weights = golden_weights(tiny_v1(MODEL__NUM_CLASSES=400))
    torch.save({"model_state": weights}, tmp_path / "uniformer_small_k400_16x4.pth")
    model = tiny_v1(MODEL__NUM_CLASSES=174)
    head = rules(resets_other_size=True)
    report = pretrain(keys, model, head, UNIFORMER__PRETRAIN_NAME="uniformer_small_k400_16x4")
    assert report.missing == ["head.weight", "head.bias"]
    with pytest.raises(UserError, match=rf"there is no {tmp_path}/uniformer_base_in1k\.pth; download these weights"):
        pretrain(keys, model, UNIFORMER__PRETRAIN_NAME="uniformer_base_in1k")


def test_the_config_refuses_other_activations():
    with pytest.raises(ValueError, match=r"UNIFORMERV2\.ACTIVATION is 'relu'; accepted: '', quick_gelu, gelu"):
        load_config(None, ["UNIFORMERV2.ACTIVATION", "relu"])
