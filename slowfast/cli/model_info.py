"""Print the sizes of a model: parameters, multiply-adds, activations, peak memory of a training step.

uniformer info --cfg exp/NAME/config.yaml [KEY VALUE ...]
uniformer info --all
"""

import argparse
from collections.abc import Sequence

from fvcore.common.config import CfgNode

from slowfast.benchmarks.model_sizes import describe_sizes, model_sizes, sizes_table
from slowfast.config import add_config_arguments, load_config, load_config_or_exit
from slowfast.config.command_line import exit_with_error
from slowfast.config.shipped import shipped_configs
from slowfast.errors import UserError

PUBLISHED_MODELS = {
    **{
        f"UniFormer-XXS {t}x{px}": (stem, {"DATA.NUM_FRAMES": t, "DATA.TRAIN_CROP_SIZE": px, "DATA.TEST_CROP_SIZE": px})
        for t, px, stem in (
            *((t, px, "uniformer_xxs_layer_scale") for t, px in ((4, 128), (4, 160), (8, 128))),
            *((t, px, "uniformer_xxs") for t, px in ((8, 160), (16, 128), (16, 160), (32, 160))),
        )
    },
    "UniFormer-XS 32x192": ("uniformer_xs", {}),
    **{f"UniFormer-S {t}x224": ("uniformer_s", {"DATA.NUM_FRAMES": t}) for t in (8, 16, 32)},
    **{f"UniFormer-B {t}x224": ("uniformer_b", {"DATA.NUM_FRAMES": t}) for t in (8, 16, 32)},
    "UniFormerV2-B/16 8x224": ("uniformerv2_b16", {}),
    **{f"UniFormerV2-L/14 {t}x224": ("uniformerv2_l14", {"DATA.NUM_FRAMES": t}) for t in (8, 16, 32)},
    **{f"UniFormerV2-L/14 {t}x336": ("uniformerv2_l14_336", {"DATA.NUM_FRAMES": t}) for t in (8, 32, 64)},
    **{
        f"UniFormerV2-L/14 {t}x336, frozen": ("uniformerv2_l14_336", {"DATA.NUM_FRAMES": t, "UNIFORMERV2.FROZEN": True})
        for t in (8, 32)
    },
    **{
        f"UniFormerV2-{size.upper()[0]}/{size[1:]} {t}x224, temporal": (
            f"uniformerv2_{size}_temporal",
            {"DATA.NUM_FRAMES": t, "MODEL.NUM_CLASSES": 174},
        )
        for size in ("b16", "l14")
        for t in (16, 32)
    },
}


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Print the sizes of the model that a config names.",
        epilog="The peak memory is estimated: float32, AdamW, without activation checkpointing.",
    )
    parser.add_argument("--all", action="store_true", help="a Markdown table of the published models; takes minutes")
    add_config_arguments(parser)
    args = parser.parse_args(argv)
    if args.all:
        lines = sizes_table((name, model_sizes(_published_config(name))) for name in PUBLISHED_MODELS)
    else:
        cfg = load_config_or_exit(args)
        try:
            lines = describe_sizes(model_sizes(cfg))
        except UserError as error:
            exit_with_error(error)
    print("\n".join(lines))


def _published_config(name: str) -> CfgNode:
    stem, changes = PUBLISHED_MODELS[name]
    return load_config(shipped_configs("models")[stem], [word for pair in changes.items() for word in pair])
