"""Write a network for other programs: ONNX, or a program of torch.export; the file is kept if it is the same function.

uniformer export (--model DIR | --checkpoint FILE [--experiment NAME]) OUT --to onnx|torch
"""

import argparse
from collections.abc import Sequence

from slowfast.cli.model_source import add_source_arguments, load_named_model
from slowfast.config.command_line import exit_with_error
from slowfast.errors import UserError
from slowfast.inference.export import FORMS, check_target, export_model


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, load, export, try."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Write a network as a file for other programs, and keep it if it reproduces the proof."
    )
    parser.add_argument("file", metavar="OUT", help="the file to write, which must not exist")
    parser.add_argument("--to", choices=FORMS, required=True, help="onnx, or torch: for torch.export.load")
    add_source_arguments(parser)
    # What is exported is computed in float32 on the CPU.
    parser.set_defaults(device="cpu", precision="float32", no_verify=False)
    args = parser.parse_args(argv)
    try:
        check_target(args.file, args.to)
        exported = export_model(load_named_model(args), args.file, args.to)
    except UserError as error:
        exit_with_error(error)
    print(exported)
