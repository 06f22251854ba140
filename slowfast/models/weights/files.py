"""Files of weights: found, downloaded and read, without running code that they may hold.

A file is named by a path or an http(s) address. After an address, ``#sha256=`` and at least the first 8 hexadecimal
digits of its checksum check what arrives. ``jit:`` before either opens a TorchScript archive, which is a program.
"""

import hashlib
import http.client
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from iopath.common.file_io import HTTPURLHandler, PathManager, get_cache_dir
from safetensors import SafetensorError, safe_open
from torch import Tensor

from slowfast.errors import UserError
from slowfast.models.weights.integrity import HASHES_KEY, check_archive, first_line

JIT_PREFIX = "jit:"
TIMM_PREFIX = "timm:"
WRAPPERS = ("model_state", "model", "state_dict", "teacher")
# Metadata of a .safetensors file that stand for the keys of a checkpoint of ours, as JSON.
METADATA_KEYS = ("class_names", "config", HASHES_KEY)
PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml")
DRIVE_DOWNLOAD = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"

_LIGHT = re.compile(r"uniformer[_-]?xx?s")

_paths = PathManager()
_paths.register_handler(HTTPURLHandler())


def is_address(name: str) -> bool:
    """Whether ``name`` is an http(s) address."""
    return name.startswith(("http://", "https://"))


def refuse_light(name: str) -> None:
    """Refuse the light models by name.

    Raises:
        UserError: for a file of UniFormer-XS or -XXS.
    """
    if _LIGHT.match(name.rpartition("/")[2].lower()):
        raise UserError(f"{name}: UniFormer-XS and -XXS, the light models, are not built here; use UniFormer-S or -B")


def find_weights(name: str, weights_dir: str, suffixes: tuple[str, ...] = ("",)) -> str | None:
    """Look for a file as it is named, then under a directory.

    Args:
        name: a path or an address, with or without ``jit:``.
        weights_dir: MODEL.WEIGHTS_DIR.
        suffixes: what may follow the name.

    Returns:
        What ``read_checkpoint`` takes (an address is returned as it is), or None if there is no such file.
    """
    prefix, path = _split_jit(name)
    if is_address(path):
        return name
    candidates = [Path(folder, path + suffix) for folder in ("", weights_dir) for suffix in suffixes]
    return next((f"{prefix}{candidate}" for candidate in candidates if candidate.is_file()), None)


def read_checkpoint(name: str | Path, *, is_checked: bool = False) -> dict[str, Any]:
    """Read a file of weights: .pth/.pyth with ``weights_only=True``, .safetensors, or a TorchScript archive.

    Args:
        name: a path or an address, see above.
        is_checked: leave the checksums alone, since another process compares them.

    Returns:
        The content, all on the CPU; of a TorchScript archive its parameters and buffers.

    Raises:
        UserError: if there is no such file, it cannot be had from its address or has another checksum, or it is
            damaged, a web page, or holds other objects than tensors and plain containers.
    """
    prefix, location = _split_jit(str(name))
    path = _download(location) if is_address(location) else Path(location)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint file")
    with path.open("rb") as file:
        head = file.read(512)
    if head.lstrip().lower().startswith(PAGE_STARTS):
        raise UserError(f"{_refuse(path, location)} is a web page, not weights; {_by_hand(location)}")
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        return _read_safetensors(path)
    if not is_checked:
        check_archive(path)
    if prefix:
        return _read_jit(path)
    if _is_jit(path):
        raise UserError(f"{path}: is a TorchScript archive, which is a program; if you trust it, name it jit:{path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise UserError(f"{path}: cannot be read as a checkpoint: {_cause(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected a dictionary of weights")
    return content


def state_dict_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights in a checkpoint, without the wrapper (``model_state``, ``model``, ``state_dict`` or ``teacher``), the
    ``module.`` that DataParallel puts before names, and what is no tensor."""
    wrapper = next((name for name in WRAPPERS if isinstance(checkpoint.get(name), Mapping)), None)
    weights = {name: value for name, value in checkpoint.items() if isinstance(value, Tensor)}
    if wrapper is not None:
        weights = {name: value for name, value in checkpoint[wrapper].items() if isinstance(value, Tensor)}
    if weights and all(name.startswith("module.") for name in weights):
        weights = {name.removeprefix("module."): value for name, value in weights.items()}
    return weights


def direct_address(address: str) -> str:
    """The address of the file itself: Google Drive's addresses of a viewer page are translated."""
    found = re.match(r"https://drive\.google\.com/(?:file/d/|open\?id=|uc\?(?:.*&)?id=)([\w-]+)", address)
    return DRIVE_DOWNLOAD.format(found[1]) if found else address


def _split_jit(name: str) -> tuple[str, str]:
    return (JIT_PREFIX, name.removeprefix(JIT_PREFIX)) if name.startswith(JIT_PREFIX) else ("", name)


def _download(address: str) -> Path:
    """The file in iopath's cache ($FVCORE_CACHE, else ~/.torch/iopath_cache), downloaded if it is not there."""
    url, _, fragment = address.partition("#")
    checksum = re.fullmatch(r"sha256=([0-9a-f]{8,64})", fragment.lower())
    if fragment and not checksum:
        raise UserError(f"{address}: accepted after #: sha256= and at least the first 8 hexadecimal digits")
    direct = direct_address(url)
    cache_dir = str(Path(get_cache_dir(), urlsplit(direct).netloc.replace(":", "_")))
    try:
        path = Path(_paths.get_local_path(direct, cache_dir=cache_dir))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UserError(f"{address}: cannot be downloaded: {_cause(error)}; {_by_hand(url)}") from None
    if checksum:
        actual = _sha256(path)
        if not actual.startswith(checksum[1]):
            told = f"{_refuse(path, url)} has the SHA-256 {actual}, not {checksum[1]}"
            raise UserError(f"{told}; download it again, or correct the digits if the file is meant")
    return path


def _refuse(path: Path, location: str) -> str:
    """Take a refused download out of the cache; returns how to call it in a message."""
    if not is_address(location):
        return f"{path}:"
    path.unlink(missing_ok=True)
    return f"{location}: what arrived"


def _by_hand(location: str) -> str:
    remedy = "download the weights in a browser and name the file instead"
    if "google.com" in location:
        remedy += " (Google Drive answers with a page where too many people have downloaded a file, or one must log in)"
    return remedy


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _is_jit(path: Path) -> bool:
    """Whether a file is a TorchScript archive: a zip file with compiled code beside its tensors."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_jit(path: Path) -> dict[str, Tensor]:
    if not _is_jit(path):
        raise UserError(f"jit:{path}: is no TorchScript archive; name it without jit:")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated, but CLIP is published in it
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    except RuntimeError as error:
        raise UserError(f"{path}: cannot be read as a TorchScript archive: {_cause(error)}") from None


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as .safetensors: {_cause(error)}") from None
    told = {key: json.loads(metadata[key]) for key in METADATA_KEYS if key in metadata}
    return {"model_state": weights, **told} if told else weights


def _cause(error: Exception) -> str:
    """The first line of an error; for an object that is refused, which one and how to get at the weights."""
    text = str(error)
    if found := re.search(r"Unsupported (?:global|class|operand)[^\n]*?([\w.]+) was not an allowed", text):
        return (
            f"it holds an object of {found[1]}, and only tensors and plain containers are read; if you trust the file, "
            f"save its weights alone: torch.save(torch.load(FILE, weights_only=False)['model_state'], NEW_FILE)"
        )
    return first_line(error)
