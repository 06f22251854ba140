"""What the commands that use a trained model share: the arguments that name it, and loading it."""

import argparse
import os

from slowfast.config.command_line import positive_int, whole_number
from slowfast.errors import UserError
from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.folder.hub import PREFIX
from slowfast.inference.load import PRECISIONS, load_model


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names a model."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", metavar="FILE", help="a checkpoint of this project, or public weights")
    source.add_argument("--model", metavar="DIR", help="a model folder, as uniformer publish writes it")
    parser.add_argument(
        "--experiment", default="", metavar="NAME", help="folder of exp/ that public weights are of, or a YAML config"
    )
    parser.add_argument("--classes", metavar="LIST", help="names of the classes: a shipped list, or a file of them")
    parser.add_argument("--plugins", metavar="FILE.py", action="append", default=[], help="code that the model needs")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names a model, and where and how it computes."""
    add_source_arguments(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: a GPU, or cpu)")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the network (default: float32)")
    parser.add_argument(
        "--no_verify", action="store_true", help="leave out the proof of a model folder; hashes are compared anyway"
    )


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how videos are cut into views, and how fast they are read."""
    parser.add_argument(
        "--views", metavar="4x3", help="temporal clips x spatial crops per video (default: those of the model's tests)"
    )
    parser.add_argument("--batch_size", type=positive_int, default=8, metavar="N", help="views at once (default: 8)")
    parser.add_argument(
        "--workers", type=whole_number, default=0, metavar="N", help="processes that read videos (default: 0, this one)"
    )


def load_named_model(args: argparse.Namespace) -> VideoClassifier:
    """Load the model that the arguments name.

    Raises:
        UserError: if it cannot be loaded, or --model and --checkpoint are mixed up.
    """
    if args.model is not None and (args.experiment or args.classes):
        raise UserError("--model says its experiment and classes itself; leave out --experiment and --classes")
    if args.model is not None and not args.model.startswith(PREFIX) and not os.path.exists(args.model):
        raise UserError(f"--model {args.model}: there is no such folder")
    return load_model(
        args.checkpoint if args.model is None else args.model,
        experiment=args.experiment,
        class_names=args.classes,
        plugins=args.plugins,
        device=args.device,
        precision=args.precision,
        num_workers=getattr(args, "workers", 0),
        verify=not args.no_verify,
    )
