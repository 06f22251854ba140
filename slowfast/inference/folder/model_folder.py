"""A trained model as a folder that says what it is and proves that it still is.

- ``config.json``: architecture, frames, sampling, size, mean, standard deviation, channel order, views, class names;
- ``model.safetensors``: the weights;
- ``README.md``: for people;
- ``proof.mp4`` (or the file that was given), ``proof.safetensors`` and ``proof.json``: a video, what the model made of
  it, and the hashes of all files, of every tensor and of the class names.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.datasets.lists.folder_walk import is_video
from slowfast.errors import UserError
from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.folder.folder_checks import check_config, check_errors, check_file_name
from slowfast.inference.folder.folder_files import (
    AGAIN,
    file_hash,
    names_hash,
    read_json,
    read_tensors,
    tensor_hash,
    write_json,
    write_tensors,
)
from slowfast.inference.folder.model_card import model_card
from slowfast.inference.folder.origin import Origin
from slowfast.inference.folder.proof import Proof, check_proof, make_proof, read_trace
from slowfast.inference.folder.proof_video import write_proof_video
from slowfast.inference.settings import settings_of
from slowfast.models.registry import VideoModel
from slowfast.runtime.reproduce import versions

CONFIG, WEIGHTS, CARD, TRACE, PROOF = "config.json", "model.safetensors", "README.md", "proof.safetensors", "proof.json"
# Of the folder in OUTPUT_DIR that a training leaves.
FOLDER_NAME = "model"
FORMAT = "uniformer-video model 1"


@dataclass(frozen=True)
class FolderContent:
    """What a model folder says, once its hashes were compared.

    Attributes:
        settings: of the config, by full key.
        class_names: in the order of the scores, or None.
        class_note: why there are none, or what is assumed about them.
        weights: by name.
        video: of the proof.
        proof: what the model made of it.
        plugins: files of code that the model needs.
        origin: of the weights.
        window_s: seconds that the videos lasted that it was trained on; None if nobody said.
    """

    settings: Mapping[str, Any]
    class_names: list[str] | None
    class_note: str
    weights: dict[str, Tensor]
    video: Path
    proof: Proof
    plugins: Sequence[str]
    origin: Origin
    window_s: float | None = None


def publish(
    classifier: VideoClassifier,
    folder: str | os.PathLike,
    *,
    proof_video: str | os.PathLike | None = None,
    license_name: str = "",
    notes: Mapping[str, Any] | None = None,
    replaces: bool = False,
) -> Path:
    """Write a model folder; it appears whole or not at all.

    Args:
        classifier: on the CPU, in float32.
        folder: that does not exist yet, or is empty.
        proof_video: the video of the proof; None makes one up.
        license_name: of the weights, such as Apache-2.0; "" takes that of the folder that the model comes from.
        notes: more for the model card: how the model was trained and what it reached, besides what that folder says.
        replaces: a model folder that is there already is replaced.

    Returns:
        The folder.

    Raises:
        UserError: if the folder is not free, or cannot be written, or the video cannot be read.
    """
    folder = Path(os.path.abspath(folder))
    _check_free(folder, replaces=replaces)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        name = os.path.basename(classifier.source.rstrip(os.sep))
        _write(classifier, temporary, proof_video, classifier.origin.completed(name, license_name, notes or {}))
        if folder.is_dir():
            shutil.rmtree(folder)
        os.rename(temporary, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def is_model_folder(path: str | os.PathLike) -> bool:
    """Whether a folder holds a model that ``publish`` wrote; False if this user may not see it."""
    return os.path.isfile(os.path.join(path, CONFIG))


def why_no_model_folder(path: str) -> str:
    """Why a folder cannot be loaded as a model; "" for one that ``is_model_folder``."""
    if is_model_folder(path):
        return ""
    if not os.access(path, os.X_OK):
        return "cannot be read: this user may not enter the folder"
    inner = os.path.join(path, FOLDER_NAME)
    nearest = f"; {inner} is one" if is_model_folder(inner) else ""
    return f"is no model folder, as uniformer publish writes it: it has no config.json{nearest}"


def read_folder(folder: Path) -> FolderContent:
    """Read a model folder and compare all hashes.

    Raises:
        UserError: if a file is missing, or a hash differs.
    """
    hashes = read_json(folder / PROOF)
    files = hashes.get("files")
    if not isinstance(files, dict) or not {CONFIG, TRACE} <= set(files):
        raise UserError(f"{folder / PROOF}: lacks the hashes of its files; {AGAIN}")
    for name, expected in files.items():
        check_file_name(name, folder / PROOF)
        if file_hash(folder / name) != expected:
            raise UserError(f"{folder / name}: is not the file that was published: its hash differs; {AGAIN}")
    config = read_json(folder / CONFIG)
    check_config(config, folder / CONFIG, FORMAT)
    names = config.get("class_names")
    if names_hash(names) != hashes.get("class_names"):
        raise UserError(f"{folder / CONFIG}: its class names are not those that were published; {AGAIN}")
    weights = read_tensors(folder / WEIGHTS)
    _check_tensors(weights, hashes.get("tensors"), folder / WEIGHTS)
    trace = read_trace(read_tensors(folder / TRACE), folder / TRACE)
    errors = [hashes.get(name) for name in ("noise_error", "bfloat16_error")]
    check_errors(errors, folder / PROOF)
    video = next((folder / name for name in files if name not in (CONFIG, TRACE, CARD)), None)
    if video is None:
        raise UserError(f"{folder / PROOF}: names no video; {AGAIN}")
    return FolderContent(
        settings=config["settings"],
        class_names=names,
        class_note=config.get("class_note", ""),
        weights=weights,
        video=video,
        proof=Proof(trace, *errors),
        plugins=config["plugins"],
        origin=Origin(config.get("source", ""), config.get("license", ""), config.get("notes", {})),
        window_s=config.get("window_s"),
    )


def prove(model: VideoModel, cfg: CfgNode, content: FolderContent, told: str) -> str:
    """Run the proof of a folder, on the CPU in float32.

    Returns:
        One line: that it is the published function, and the error.

    Raises:
        ProofError: if it is not.
        UserError: if it cannot be computed: of a folder whose settings ask for more memory than there is.
    """
    try:
        error = check_proof(model, cfg, content.video, content.proof, told)
    except (RuntimeError, MemoryError) as error:
        raise UserError(
            f"{told}: its proof cannot be computed: {(str(error).splitlines() or ['no memory'])[0]}"
        ) from error
    return f"this is the published function: its logits differ by {error:.1g} of the largest one"


def write_default_video(cfg: CfgNode, folder: Path) -> Path:
    """Write the video of a proof for which none is given, and return its path.

    It is long enough for clips that differ: three times T, and the span of a dense clip and half of it.
    """
    path = folder / "proof.mp4"
    span = cfg.DATA.NUM_FRAMES * max(cfg.DATA.SAMPLING_RATE, 1)
    write_proof_video(path, max(3 * cfg.DATA.NUM_FRAMES, span + span // 2))
    return path


def _write(
    classifier: VideoClassifier,
    folder: Path,
    proof_video: str | os.PathLike | None,
    origin: Origin,
) -> None:
    model, cfg = classifier.model, classifier.cfg
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    config = {
        "format": FORMAT,
        "architecture": cfg.MODEL.MODEL_NAME,
        "class_names": None if classifier.class_names is None else list(classifier.class_names),
        "class_note": classifier.class_note,
        "source": origin.source,
        "license": origin.license_name,
        "notes": dict(origin.notes),
        "settings": settings_of(cfg),
        "window_s": classifier.window_s,
        "plugins": [os.path.basename(path) for path in cfg.PLUGINS],
        "versions": versions(),
    }
    write_json(folder / CONFIG, config)
    write_tensors(folder / WEIGHTS, weights, like=folder / CONFIG)
    if proof_video is None:
        video = write_default_video(cfg, folder)
    else:
        # A suffix of no video would be that of another file of the folder, or none that is pushed to the hub.
        video = folder / f"proof{Path(proof_video).suffix if is_video(str(proof_video)) else '.mp4'}"
        _copy_video(Path(proof_video), video)
    try:
        proof = make_proof(model, cfg, video)
    except UserError as error:
        told = str(error).replace(str(video), str(proof_video or video), 1)
        raise UserError(f"the video of the proof, {told}") from None
    write_tensors(folder / TRACE, proof.trace.tensors(), like=folder / CONFIG)
    (folder / CARD).write_text(model_card(classifier, config, proof), encoding="utf-8")
    hashes = {
        "files": {name: file_hash(folder / name) for name in (CONFIG, TRACE, video.name)},
        "tensors": {name: tensor_hash(value) for name, value in weights.items()},
        "class_names": names_hash(config["class_names"]),
        "noise_error": proof.noise_error,
        "bfloat16_error": proof.bfloat16_error,
    }
    write_json(folder / PROOF, hashes)


def _copy_video(source: Path, target: Path) -> None:
    try:
        if os.path.exists(source) and not source.is_file() and not source.is_dir():  # its other end may never come
            raise UserError(f"the video of the proof, {source}: is a pipe or a device, not a file")
        with source.open("rb"):
            pass
    except OSError as error:
        raise UserError(f"the video of the proof, {source}: cannot be read: {error.strerror or error}") from None
    shutil.copyfile(source, target)


def _check_free(folder: Path, *, replaces: bool) -> None:
    if os.path.exists(folder) and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a new folder")
    if os.path.isdir(folder) and any(folder.iterdir()) and not (replaces and is_model_folder(folder)):
        raise UserError(f"{folder}: is not empty; name a new folder")


def _check_tensors(weights: Mapping[str, Tensor], expected: object, path: Path) -> None:
    if not isinstance(expected, dict):
        raise UserError(f"{path.with_name(PROOF)}: lacks the hashes of the tensors; {AGAIN}")
    lacking, surplus = sorted(set(expected) - set(weights)), sorted(set(weights) - set(expected))
    for what, names in (("lacks", lacking), ("has too much:", surplus)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{path}: {what} {names[0]}{more}; {AGAIN}")
    wrong = [name for name, value in weights.items() if tensor_hash(value) != expected[name]]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UserError(f"{path}: {wrong[0]}{more} is not the tensor that was published: its hash differs; {AGAIN}")
