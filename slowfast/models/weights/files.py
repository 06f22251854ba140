"""Files of weights: found, downloaded and read, without running code that they may hold.

A file is named by a path or an http(s) address. After an address, ``#sha256=`` and at least the first 8 hexadecimal
digits of its checksum check what arrives. ``jit:`` before either opens a TorchScript archive, which is a program.
"""

import json
import os
import re
import stat
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from slowfast.config.coerce import short
from slowfast.errors import UserError
from slowfast.models.weights.downloads import by_hand, discard, download, is_address
from slowfast.models.weights.integrity import (
    AGAIN,
    HASHES_KEY,
    check_archive,
    check_tensors,
    first_line,
    is_archive,
    refuse_bomb,
)
from slowfast.runtime.files import system_cause

JIT_PREFIX = "jit:"
TIMM_PREFIX = "timm:"
# Parts of names that torch.compile, FSDP, activation checkpointing and DeepSpeed add.
ADDED_PARTS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
WRAPPERS = ("model_state", "model", "state_dict", "teacher")
# Metadata of a .safetensors file that stand for the keys of a checkpoint of ours, as JSON.
METADATA_KEYS = ("class_names", "config", HASHES_KEY)
# What PyTorch's AveragedModel keeps beside the weights, which are all under "module.".
AVERAGE_COUNT = "n_averaged"
LFS_START = b"version https://git-lfs"
PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml")


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
    return next((f"{prefix}{candidate}" for candidate in candidates if os.path.isfile(candidate)), None)


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
    path = download(location) if is_address(location) else Path(location)
    shown = str(path) if str(path).isprintable() else repr(str(path))
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_file = False
    except (OSError, ValueError) as error:  # one that may not be seen, and a name that no file has
        raise UserError(f"{shown}: no such checkpoint file: {system_cause(error)}") from None
    if not is_file:
        raise UserError(f"{shown}: no such checkpoint file")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if head.startswith(LFS_START):
        raise UserError(
            f"{discard(path, location)} is a pointer of Git LFS, not weights; fetch the file itself (git lfs pull; at "
            f"Hugging Face, the address with /resolve/ in place of /raw/)"
        )
    if head.lstrip().lower().startswith(PAGE_STARTS):
        raise UserError(f"{discard(path, location)} is a web page, not weights; {by_hand(location)}")
    if not prefix and _is_jit(path):
        told = "is a TorchScript archive, which is a program; if you trust it, name it"
        raise UserError(f"{path}: {told} jit:{path}")
    try:
        if head[8:9] == b"{" or path.suffix == ".safetensors":
            content = _read_safetensors(path)
        else:
            if not is_checked:
                check_archive(path)
            content = _read_jit(path) if prefix else load_plain(path)
        check_tensors(content, path)
    except UserError as error:
        if not is_address(location):
            raise
        # It may have stopped short: of an address that tells no length, only reading what has arrived shows that.
        discard(path, location)
        raise UserError(f"{location}: what arrived is not kept: {error}; {by_hand(location)}") from None
    return content


def load_plain(path: Path, *, is_mapped: bool = False) -> dict[str, Any]:
    """What PyTorch saved in a file: tensors and plain containers.

    Args:
        path: the file.
        is_mapped: leave the tensors in the file until they are used, where its format allows it.

    Raises:
        UserError: if it cannot be read, holds other objects, or is no dictionary.
    """
    refuse_bomb(path)
    try:
        is_mapped = is_mapped and str(path).isprintable() and is_archive(path)  # PyTorch maps no name beyond UTF-8
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats, which load all the same
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise UserError(f"{path}: cannot be read as a checkpoint: {_cause(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected a dictionary of weights")
    return content


def state_dict_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights in a checkpoint, without the wrapper (``model_state``, ``model``, ``state_dict`` or ``teacher``),
    what wrappers and compilers of modules add to names, such as ``module.``, and what is no tensor.

    Raises:
        UserError: for a tensor under a key that is no text, or two whose names are one without those additions.
    """
    wrapper = next((name for name in WRAPPERS if isinstance(checkpoint.get(name), Mapping)), None)
    content = checkpoint if wrapper is None else checkpoint[wrapper]
    weights = {name: value for name, value in content.items() if isinstance(value, Tensor) and name != AVERAGE_COUNT}
    if odd := [name for name in weights if not isinstance(name, str)]:
        raise UserError(f"holds {len(odd)} tensors under keys that are no names, such as {short(odd[0])}")
    return _without_added_parts(weights)


def _without_added_parts(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names that they have without wrappers and compilers.

    DataParallel's ``module.`` goes where all names begin with it; the others, which no model has, go everywhere.
    """
    parts = {name: [part for part in name.split(".") if part not in ADDED_PARTS] for name in weights}
    while parts and all(words[:1] == ["module"] and len(words) > 1 for words in parts.values()):
        parts = {name: words[1:] for name, words in parts.items()}
    renamed = {".".join(words): weights[name] for name, words in parts.items()}
    if len(renamed) < len(weights):
        raise UserError("holds weights twice, with and without what a wrapper or compiler adds to their names")
    return renamed


def without_shared_prefixes(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Weights as they are, and under the names without the first part, the first two, ... that all of them share.

    Yields:
        The prefix, such as ``model.``, and the weights without it.
    """
    prefix, renamed = "", dict(weights)
    yield prefix, renamed
    while renamed:
        part = next(iter(renamed)).partition(".")[0] + "."
        if not all(name.startswith(part) for name in renamed):
            return
        prefix, renamed = prefix + part, {name.removeprefix(part): value for name, value in renamed.items()}
        yield prefix, renamed


def _split_jit(name: str) -> tuple[str, str]:
    return (JIT_PREFIX, name.removeprefix(JIT_PREFIX)) if name.startswith(JIT_PREFIX) else ("", name)


def _is_jit(path: Path) -> bool:
    """Whether a file is a TorchScript archive: a zip file with compiled code beside its tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # zipfile raises many kinds for what is no zip file
        return False


def _read_jit(path: Path) -> dict[str, Tensor]:
    if not _is_jit(path):
        raise UserError(f"jit:{path}: is no TorchScript archive; name it without jit:")
    refuse_bomb(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated, but CLIP is published in it
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    except (RuntimeError, UnicodeError) as error:
        raise UserError(f"{path}: cannot be read as a TorchScript archive: {_cause(error)}") from None


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            metadata = file.metadata() or {}
    except Exception as error:  # SafetensorError, and what PyTorch raises for types that it does not know
        raise UserError(f"{path}: cannot be read as .safetensors: {_cause(error)}") from None
    told = {key: _from_json(metadata[key], key, path) for key in METADATA_KEYS if key in metadata}
    return {"model_state": weights, **told} if told else weights


def _from_json(text: str, key: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: {key} in its metadata is no JSON: {first_line(error)}; {AGAIN}") from None


def _cause(error: Exception) -> str:
    """The line of an error that tells the cause; for an object that is refused, how to get at the weights.

    PyTorch's advice to read a file as a program is left out.
    """
    text = str(error)
    if isinstance(error, EOFError) and not text:
        return f"it is empty or ends early; {AGAIN}"
    if found := re.search(r"Unsupported (?:global|class|operand)[^\n]*?([\w.]+) was not an allowed", text):
        return (
            f"it holds an object of {found[1]}, and only tensors and plain containers are read; if you trust the file, "
            f"read it with the code that wrote it and save its weights alone: torch.save(model.state_dict(), NEW_FILE)"
        )
    if found := re.search(r"WeightsUnpickler error: *([^\n]*)", text):
        return f"its content is damaged or no plain data ({found[1].strip() or 'no more is known'})"
    if "weights_only" in text:
        return "it is damaged, or holds more than tensors and plain containers"
    if isinstance(error, LookupError | EOFError | ValueError | TypeError):  # of its unpickler, such as KeyError(101)
        return "it is no file that PyTorch has saved, or it is damaged"
    return first_line(error)
