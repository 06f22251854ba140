"""A trained model as a file that other programs run: ONNX, or a program of torch.export.

What is in it starts at uint8 clips and ends at logits. The metadata say the rest: which frames to read, how large, in
which order of channels, what the classes are called; and they hold a clip with its logits, the proof. A file that does
not reproduce them is not kept.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from slowfast.errors import UserError
from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.export_metadata import export_metadata
from slowfast.inference.folder.model_folder import is_model_folder, read_folder, write_default_video
from slowfast.inference.folder.proof import check_proof, proof_clip, relative_error
from slowfast.models.batch_norm import fold_batch_norms
from slowfast.models.reference import use_reference
from slowfast.runtime.extras import import_extra

# Forms by name, and how their files end.
FORMS = {"onnx": ".onnx", "torch": ".pt2"}
# Of the largest logit; another runtime adds in another order. Measured: below 1e-5.
TOLERANCE = 1e-4
# Larger weights lie in a file beside the .onnx: protobuf takes no more than 2 GB, and reads them all at once.
EXTERNAL_DATA_BYTES = 2**30
# The oldest PyTorch whose exports to ONNX were tried and hold; 2.6 fails.
ONNX_FROM = (2, 14)
METADATA_FILE = "metadata.json"
# At once; without a bound PyTorch 2.6 sees that 2**63 are too many, and gives up.
MAX_CLIPS = 2**20

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Export:
    """A file that was written and tried.

    Attributes:
        path: of the file.
        files: all that was written: with large weights there is one more.
        error: of its logits for the proof's clip, of the largest one.
        has_free_frames: whether it takes clips of other lengths than the model's.
    """

    path: Path
    files: tuple[Path, ...]
    error: float
    has_free_frames: bool

    def __str__(self) -> str:
        frames = "other numbers of frames, too" if self.has_free_frames else "no other number of frames"
        told = f"{self.path}: reproduces the proof: its logits differ by {self.error:.1g} of the largest one; {frames}"
        return told + "".join(f"; needs {path.name} beside it" for path in self.files if path != self.path)


class ClipNetwork(nn.Module):
    """uint8 clips (N, 3, T, H, W) to logits (N, K): a network with what is computed before it.

    Args:
        model: takes normalised clips.
        mean, std: of values in [0, 1], in the order of the clips' channels.
    """

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, clips: Tensor) -> Tensor:
        # ``normalize`` in two operations: the tracer of PyTorch 2.6 cannot take its one of three tensors apart.
        mean, std = (values.view(1, -1, 1, 1, 1) for values in (self.mean, self.std))
        return self.model(clips.float() / (255 * std) - mean / std)


def check_target(path: str | os.PathLike, form: str) -> None:
    """What can be known before a model is loaded: the form is one, its packages are there, the path fits and is free.

    Raises:
        UserError: if not.
    """
    if form not in FORMS:
        raise UserError(f"form {form!r}; accepted: {', '.join(FORMS)}")
    if Path(path).suffix != FORMS[form]:
        raise UserError(f"{path}: accepted as a file of the form {form}: names that end in {FORMS[form]}")
    for file in (Path(path), _data_path(Path(path))):
        if os.path.lexists(file):
            raise UserError(f"{file}: is there already; name a new file")
    if form == "onnx":
        _check_torch()
        for name in ("onnx", "onnxscript", "onnxruntime"):
            import_extra(name, extra="export", purpose="an export to ONNX")


def _check_torch() -> None:
    """Refuse releases that have not been tried: 2.6 writes networks that do not load, or none."""
    number = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if number < ONNX_FROM:
        oldest = ".".join(map(str, ONNX_FROM))
        raise UserError(
            f"an export to ONNX needs PyTorch {oldest} or newer, and this is {torch.__version__}; update it"
        )


def export_model(classifier: VideoClassifier, path: str | os.PathLike, form: str) -> Export:
    """Write a model as a file for other programs, and run it; the file appears if it is the same function.

    Args:
        classifier: on the CPU; it is left as it is.
        path: of the file, which must not exist.
        form: one of ``FORMS``: onnx, or torch for ``torch.export.load``.

    Raises:
        UserError: if the path is taken or cannot be written, a package is missing, the model cannot be exported, or
            what was exported gives other logits.
    """
    path = Path(path)
    check_target(path, form)
    if classifier.device.type != "cpu":
        raise UserError(f"the model is on {classifier.device}; load it with device cpu to export it")
    clip = _proof_clip(classifier)
    write, load = {"onnx": (_write_onnx, _load_onnx), "torch": (_write_torch, _load_torch)}[form]
    data = classifier.cfg.DATA
    with _new_files(path) as temporary, torch.no_grad():
        model = use_reference(classifier.model).eval().requires_grad_(False)
        fold_batch_norms(model)
        program = _traced(ClipNetwork(model, data.MEAN, data.STD).eval(), clip, classifier)
        has_free_frames = _has_free_frames(program)
        ours = ClipNetwork(classifier.model, data.MEAN, data.STD)
        expected = ours(clip)
        metadata = export_metadata(classifier, clip, expected, has_free_frames=has_free_frames)
        write(program, metadata, temporary)
        run = load(temporary)
        error = _checked_error(run(clip), expected, path, "the proof's logits")
        # Two clips at once, and each of two frames more.
        longer = _two_frames_more(clip) if has_free_frames else clip
        others = torch.cat([longer, longer.flip(0, 2)])
        what = f"the logits of clips {tuple(others.shape)}"
        _checked_error(run(others), ours(others), path, what)
        names = sorted(file.name for file in temporary.parent.iterdir())
    return Export(path, tuple(path.with_name(name) for name in names), error, has_free_frames)


def _proof_clip(classifier: VideoClassifier) -> Tensor:
    """The proof's clip, uint8 (1, 3, T, H, W): of the model's folder, once that is proved, or of a made-up video."""
    cfg, source = classifier.cfg, classifier.source
    if is_model_folder(source):
        content = read_folder(Path(source))
        check_proof(classifier.model, cfg, content.video, content.proof, source)
        return proof_clip(cfg, content.video)
    with tempfile.TemporaryDirectory(prefix="export_") as folder:
        return proof_clip(cfg, write_default_video(cfg, Path(folder)))


def _traced(network: ClipNetwork, clip: Tensor, classifier: VideoClassifier) -> ExportedProgram:
    """As a program for any number of clips, and of frames where the model does not hang on it."""
    is_one_frame = clip.shape[2] == 1  # which the tracer takes for granted
    has_free_frames = not (is_one_frame or classifier.model.has_fixed_frames)
    try:
        program = _program(network, clip, has_free_frames=has_free_frames)
        if _has_free_frames(program) and not _takes(program, _two_frames_more(clip)):
            # From two frames downsampling makes one, and what was traced is the case of one.
            program = _program(network, clip, has_free_frames=False)
    except RuntimeError as error:
        name = classifier.cfg.MODEL.MODEL_NAME
        raise UserError(f"{name}: torch.export cannot trace it: {str(error).strip().splitlines()[0]}") from error
    return program


def _program(network: ClipNetwork, clip: Tensor, *, has_free_frames: bool) -> ExportedProgram:
    sizes = {0: Dim("clips", min=1, max=MAX_CLIPS)} | ({2: Dim.AUTO} if has_free_frames else {})
    # Of one clip the tracer would take for granted that there is one.
    return torch.export.export(network, (clip.repeat(2, 1, 1, 1, 1),), dynamic_shapes=(sizes,), strict=False)


def _takes(program: ExportedProgram, clip: Tensor) -> bool:
    try:
        program.module()(clip)
    except (AssertionError, RuntimeError):  # a guard of the tracer, or what there is in place of one
        return False
    return True


def _two_frames_more(clip: Tensor) -> Tensor:
    return torch.cat([clip, clip[:, :, :2]], dim=2)


def _has_free_frames(program: ExportedProgram) -> bool:
    (name,) = program.graph_signature.user_inputs
    shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == name)
    return not isinstance(shape[2], int)


def _write_onnx(program: ExportedProgram, metadata: dict[str, object], path: Path) -> None:
    names = {"input_names": ["clips"], "output_names": ["logits"]}
    exported = torch.onnx.export(program, dynamo=True, verbose=False, **names)
    for name, value in metadata.items():
        exported.model.metadata_props[name] = json.dumps(value, ensure_ascii=False)
    num_bytes = sum(value.nbytes for value in program.state_dict.values())
    exported.save(path, external_data=num_bytes > EXTERNAL_DATA_BYTES)


def _load_onnx(path: Path) -> Run:
    onnxruntime = import_extra("onnxruntime", extra="export", purpose="an export to ONNX")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(clips: Tensor) -> Tensor:
        (logits,) = session.run(["logits"], {"clips": clips.numpy()})
        return torch.from_numpy(np.asarray(logits))

    return run


def _write_torch(program: ExportedProgram, metadata: dict[str, object], path: Path) -> None:
    content = json.dumps(metadata, ensure_ascii=False, indent=1)
    archive = BytesIO()  # where its own writer finds the disk full, PyTorch ends the process
    torch.export.save(program, archive, extra_files={METADATA_FILE: content})
    path.write_bytes(archive.getbuffer())


def _load_torch(path: Path) -> Run:
    return torch.export.load(path).module()


@contextmanager
def _new_files(path: Path) -> Iterator[Path]:
    """A path in a folder of its own; what lies there afterwards goes beside ``path``, unless something went wrong."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary / path.name
        # The file itself comes last: it is whole once it is there.
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == path.name):
            os.rename(file, path.with_name(file.name))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _data_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.data")


def _checked_error(ours: Tensor, expected: Tensor, path: Path, what: str) -> float:
    error = relative_error(ours, expected) if ours.shape == expected.shape else float("inf")
    if not error <= TOLERANCE:
        raise UserError(
            f"{path}: was not kept: what was exported differs from the model in {what} by {error:.2g} of the largest "
            f"one; accepted: {TOLERANCE:g}"
        )
    return error
