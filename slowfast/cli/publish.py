"""Write a model folder: weights, what they need, and a proof.

uniformer publish CHECKPOINT OUT [--experiment NAME] [--proof_video FILE] [--license NAME]
    [--push OWNER/NAME]
"""

import argparse
import shutil
from collections.abc import Sequence

from slowfast.cli.stream import seconds
from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.inference.folder.hub import PREFIX, parse, push_folder
from slowfast.inference.folder.model_folder import publish
from slowfast.inference.load import load_model
from slowfast.inference.run_notes import notes_of_run


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, load, publish, prove."""
    parser = argparse.ArgumentParser(prog=prog, description="Write a model folder that says and proves what it is.")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint, a model folder, or public weights")
    parser.add_argument("folder", metavar="OUT", help="the folder to write; it is new or empty")
    parser.add_argument("--experiment", default="", metavar="NAME", help="folder of exp/ that public weights are of")
    parser.add_argument("--classes", metavar="LIST", help="names of the classes: a shipped list, or a file of them")
    parser.add_argument("--plugins", metavar="FILE.py", action="append", default=[], help="code that the model needs")
    parser.add_argument("--proof_video", metavar="FILE", help="the video of the proof (default: one is made up)")
    parser.add_argument(
        "--window_s", type=seconds, metavar="S", help="seconds that the training videos lasted, usually, for streams"
    )
    parser.add_argument("--license", default="", metavar="NAME", help="licence of the weights, for the model card")
    parser.add_argument("--push", metavar="OWNER/NAME", help="put the folder on the Hugging Face Hub, too")
    args = parser.parse_args(argv)
    try:
        if args.push:
            parse(PREFIX + args.push)
        classifier = load_model(
            args.checkpoint,
            experiment=args.experiment,
            class_names=args.classes,
            plugins=args.plugins,
            device="cpu",
        )
        classifier.window_s = args.window_s or classifier.window_s
        folder = publish(
            classifier,
            args.folder,
            proof_video=args.proof_video,
            license_name=args.license,
            notes=notes_of_run(args.checkpoint),
        )
        try:
            proof = load_model(folder, plugins=args.plugins, device="cpu").proof
        except UserError:  # what does not prove itself is not published
            shutil.rmtree(folder, ignore_errors=True)
            raise
        print(f"{args.folder}: {proof}", flush=True)
        if args.push:
            print(f"pushed: {push_folder(folder, args.push)}")
    except UserError as error:
        exit_with_error(error)
