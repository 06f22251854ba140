"""Names of registries: ours stand in the config, others join them, and a wrong one is told those accepted."""

import subprocess
import sys
from pathlib import Path

import pytest

from slowfast.config import load_config
from slowfast.config.choices import LOSS_TARGETS, REGISTERED, WEIGHTED_LOSSES, ChoiceRegistry, accept_choice, losses_for
from slowfast.datasets.catalog import DATASET_REGISTRY
from slowfast.datasets.transforms.registry import TRANSFORM_REGISTRY
from slowfast.errors import UserError
from slowfast.solver.loss import LOSS_REGISTRY
from tests.registration import REGISTRIES, registered, registrations_kept


def test_the_declared_names_are_those_registered():
    served = {key: registry.names() for registry in REGISTRIES for key in registry.keys}
    assert served == REGISTERED
    assert list(LOSS_TARGETS) == LOSS_REGISTRY.names()


def test_a_program_knows_the_names_before_anything_is_registered():
    """The config alone imports no torch, and still tells a wrong name from a right one."""
    program = (
        "import sys; from slowfast.config import load_config\n"
        "load_config(None, ['TRAIN.DATASET', 'anet', 'SOLVER.OPTIMIZING_METHOD', 'adamw'])\n"
        "assert 'torch' not in sys.modules\n"
        "load_config(None, ['TRAIN.DATASET', 'anett'])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert run.stderr.splitlines()[-1].endswith(
        "UserError: TRAIN.DATASET is 'anett'; accepted: kinetics, kinetics_sparse, mit, sth, sth_video, anet, hacs, "
        "ucf101, ucf101_video, hmdb, hmdb_video, folder; the nearest is 'anet'"
    )


@pytest.fixture
def registry():
    """One of its own, for a key of a few names."""
    with registrations_kept():
        yield ChoiceRegistry("THING", "SOLVER.OPTIMIZING_METHOD")


def test_a_registered_name_is_accepted_and_told(registry: ChoiceRegistry):
    @registry.register()
    def lion():
        pass

    registry.register(lion, name="tiger")
    assert registry.names() == ["lion", "tiger"]
    assert registry.find("SOLVER.OPTIMIZING_METHOD", "tiger") is lion is registry.get("tiger")
    assert load_config(None, ["SOLVER.OPTIMIZING_METHOD", "lion"]).SOLVER.OPTIMIZING_METHOD == "lion"
    outside = "; a name of code from outside needs --plugins FILE.py$"
    message = f"^SOLVER.OPTIMIZING_METHOD is 'cat'; accepted: sgd, adam, adamw, lion, tiger{outside}"
    with pytest.raises(UserError, match=message):
        load_config(None, ["SOLVER.OPTIMIZING_METHOD", "cat"])
    with pytest.raises(UserError, match=f"^SOLVER.OPTIMIZING_METHOD is 'sgd'; accepted: lion, tiger{outside}"):
        registry.find("SOLVER.OPTIMIZING_METHOD", "sgd")
    registry.unregister("lion")
    with pytest.raises(UserError, match=f"accepted: sgd, adam, adamw, tiger{outside}"):
        load_config(None, ["SOLVER.OPTIMIZING_METHOD", "lion"])


def test_a_name_is_registered_once_and_is_there(registry: ChoiceRegistry):
    registry.register(len, name="size")
    with pytest.raises(UserError, match=r"^THING registry: 'size' is taken by <built-in function len>; give another"):
        registry.register(max, name="size")
    with pytest.raises(UserError, match=r"^THING registry: 3 has no name of its own; give register\(\) a name$"):
        registry.register(3)
    assert registry.names() == ["size"]


def test_names_of_data_sets_have_any_case(tmp_path: Path):
    entry = DATASET_REGISTRY.get("kinetics")
    with registered(DATASET_REGISTRY, entry, name="Drones"):
        assert DATASET_REGISTRY.find("TEST.DATASET", "DRONES") is entry
        for name in ("drones", "Drones"):
            load_config(None, ["TRAIN.DATASET", name, "TEST.DATASET", name])
        with pytest.raises(UserError, match=r"^TEST.DATASET is 'drone'; .*, folder, drones; the nearest is 'drones'$"):
            load_config(None, ["TEST.DATASET", "drone"])
    with pytest.raises(UserError, match=r"^TRAIN.DATASET is 'drones'; accepted: .*, folder; the nearest is "):
        load_config(None, ["TRAIN.DATASET", "drones"])


def test_a_name_is_accepted_once():
    accept_choice("TRAIN.DATASET", "Kinetics")
    assert REGISTERED["TRAIN.DATASET"].count("kinetics") == 1 and "Kinetics" not in REGISTERED["TRAIN.DATASET"]


# Extra transforms


def test_extra_transforms_are_names_that_somebody_registered():
    with pytest.raises(UserError) as error:
        load_config(None, ["AUG.ENABLE", True, "AUG.EXTRA_TRANSFORMS", ["grey"]])
    assert str(error.value) == (
        "AUG.EXTRA_TRANSFORMS is ['grey']; accepted: []; a name of code from outside needs --plugins FILE.py"
    )
    with registered(TRANSFORM_REGISTRY, len, name="grey"):
        load_config(None, ["AUG.ENABLE", True, "AUG.EXTRA_TRANSFORMS", "[grey, grey]"])
        with pytest.raises(UserError) as error:
            load_config(None, ["AUG.ENABLE", True, "AUG.EXTRA_TRANSFORMS", ["grey", "gray"]])
        assert str(error.value) == "AUG.EXTRA_TRANSFORMS is ['grey', 'gray']; accepted: each item one of grey"
        with pytest.raises(UserError) as error:
            load_config(None, ["AUG.EXTRA_TRANSFORMS", ["grey"]])
        assert str(error.value) == (
            "AUG.EXTRA_TRANSFORMS is ['grey'] and AUG.ENABLE False; set AUG.ENABLE to True to apply them, or "
            "EXTRA_TRANSFORMS to []"
        )


# Losses and their targets

SEVERAL = ["DATA.MULTI_LABEL", True]
MIXED = ["MIXUP.ENABLE", True]


@pytest.mark.parametrize(
    ("targets", "overrides", "message"),
    [
        (("class",), [], None),
        (
            ("class",),
            MIXED,
            "MIXUP.ENABLE is True and MODEL.LOSS_FUNC mine; mixed targets need soft_cross_entropy: set",
        ),
        (
            ("class",),
            SEVERAL,
            "DATA.MULTI_LABEL is True and MODEL.LOSS_FUNC mine; several labels per video need bce_logit",
        ),
        (("mixed",), MIXED, None),
        (("mixed",), [], "MIXUP.ENABLE is False and MODEL.LOSS_FUNC mine; mine needs mixed targets: set MIXUP.ENABLE"),
        (("several",), SEVERAL, None),
        (("several",), [], "DATA.MULTI_LABEL is False and MODEL.LOSS_FUNC mine; mine is for several labels per video"),
        (("class", "mixed"), [], None),
        (("class", "mixed"), MIXED, None),
        (("class", "mixed", "several"), SEVERAL, None),
        (("mixed", "several"), SEVERAL, None),
        (("mixed", "several"), MIXED, None),
        (("mixed", "several"), [], "MIXUP.ENABLE is False and MODEL.LOSS_FUNC mine; mine needs mixed targets: set"),
    ],
)
def test_a_loss_goes_with_the_targets_that_it_declares(targets: tuple, overrides: list, message: str | None):
    with registered(LOSS_REGISTRY, len, name="mine", targets=targets):
        if message is None:
            load_config(None, ["MODEL.LOSS_FUNC", "mine", *overrides])
            return
        with pytest.raises(UserError) as error:
            load_config(None, ["MODEL.LOSS_FUNC", "mine", *overrides])
        assert str(error.value).startswith(message)


def test_a_rule_tells_every_loss_that_would_do():
    with registered(LOSS_REGISTRY, len, name="mine", targets=("mixed", "several")):
        assert losses_for("mixed") == "soft_cross_entropy or mine"
        with pytest.raises(
            UserError, match=r"several labels per video need bce_logit or mine: set MODEL.LOSS_FUNC to it"
        ):
            load_config(None, SEVERAL)
    assert losses_for("mixed") == "soft_cross_entropy"


def test_weights_of_classes_go_with_the_losses_that_take_them():
    assert set(LOSS_REGISTRY.names()) == WEIGHTED_LOSSES
    overrides = ["MODEL.LOSS_FUNC", "mine", "MODEL.CLASS_WEIGHTS", "balanced"]
    with registered(LOSS_REGISTRY, len, name="mine"), pytest.raises(UserError) as error:
        load_config(None, overrides)
    assert str(error.value) == (
        "MODEL.CLASS_WEIGHTS is 'balanced' and MODEL.LOSS_FUNC mine, which takes none; set CLASS_WEIGHTS to '' or "
        "LOSS_FUNC to one of cross_entropy, soft_cross_entropy, bce_logit"
    )
    with registered(LOSS_REGISTRY, len, name="mine", takes_class_weights=True):
        load_config(None, overrides)
    assert "mine" not in WEIGHTED_LOSSES


@pytest.mark.parametrize("targets", [(), ("soft",), "class", ("class", "soft")])
def test_targets_of_no_known_kind_are_refused(targets: object):
    with pytest.raises(
        UserError, match=r"^targets of a loss are .*; accepted: a tuple of one or several of \('class', "
    ):
        LOSS_REGISTRY.register(len, name="mine", targets=targets)
    assert "mine" not in LOSS_REGISTRY and "mine" not in LOSS_TARGETS
