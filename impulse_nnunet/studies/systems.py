"""Which systems each table compares, and by what they differ from the plans as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TABLES = ("1", "2", "3", "4", "5", "fig10")
FULL_TRAINER = "nnUNetTrainerImPulSe"
STOCK_TRAINER = "nnUNetTrainerBudget"
DEFAULT_SHARES = (0.0, 0.2, 0.5, 0.8)  # of 1 - gamma
INPUT_NAMES = {
    "i": "I", "ibav": "IBAV", "ibav_truth": "IBAV, ground truth", "l": "L", "l_truth": "L, ground truth",
    "lbav": "LBAV", "lbav_truth": "LBAV, ground truth",
}  # fmt: skip

_LD = "impulse.loss.displacement"
_ARCHITECTURE = "architecture.arch_kwargs"


@dataclass(frozen=True)
class System:
    """One row of a table.

    Args:
        key: Short name, part of the name of the configuration; the paper's figures are found by it.
        name: As the table writes it.
        trainer: nnU-Net trainer; empty where nothing is trained (the template alone).
        changes: Dotted settings of the plans -> value, where they differ from the plans as they are.
        dataset: ID of the data set, where a table compares data sets; else None.
        stock: Whether it is trained with nnU-Net's own plans.
    """

    key: str
    name: str
    trainer: str = FULL_TRAINER
    changes: Mapping[str, Any] = field(default_factory=dict)
    dataset: int | None = None
    stock: bool = False

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return bool(self.trainer)


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Args:
        key: Of :data:`TABLES`.
        title: As the table writes it.
        reference: Key of the row that the others are tested against.
        systems: The rows.
    """

    key: str
    title: str
    reference: str
    systems: tuple[System, ...]


PLUS = System("plus", "ImPulSe+")
IMPULSE = System("impulse", "ImPulSe", "nnUNetTrainerImPulSeV1")
TEMPLATE = System("template", "template alone", "")

MAIN = (
    System("nnunet", "nnU-Net, sliding window", STOCK_TRAINER, stock=True),
    System("deeplabv3", "DeepLabv3, input grid", "nnUNetTrainerDeepLabV3"),
    System("fcn", "FCN, input grid", "nnUNetTrainerFCN"),
    System("lowres", "nnU-Net, input grid", "nnUNetTrainerLowRes"),
    IMPULSE,
    PLUS,
    TEMPLATE,
)
PARTS = (
    System("impulse", "none (ImPulSe)", "nnUNetTrainerImPulSeV1"),
    System(
        "co_trained", "T D, template co-trained",
        changes={"impulse.template.mode": "co_trained", f"{_ARCHITECTURE}.correction": False, _LD: 0.0},
    ),
    System("no_correction", "T D PT", changes={f"{_ARCHITECTURE}.correction": False, _LD: 0.0}),
    System("no_displacement_loss", "T D C PT", changes={_LD: 0.0}),
    System("plus", "T D C LD PT (ImPulSe+)"),
    TEMPLATE,
)  # fmt: skip
ENCODERS = (
    System("plus", "ResNet-18", changes={f"{_ARCHITECTURE}.encoder": "resnet18"}),
    System("unet_encoder", "U-Net encoder", changes={f"{_ARCHITECTURE}.encoder": "unet_encoder"}),
    System("unet", "U-Net", changes={f"{_ARCHITECTURE}.encoder": "unet"}),
)


def table(key: str, inputs: Mapping[str, int] | None = None, shares: Sequence[float] = DEFAULT_SHARES) -> Table:
    """The rows of a table.

    Args:
        key: Of :data:`TABLES`.
        inputs: Kind of input (:data:`INPUT_NAMES`) -> ID of its data set; tables 4 and 5 need it.
        shares: Values of 1 - gamma for ``fig10``.
    """
    inputs = inputs or {}
    if key == "1":
        return Table("1", "Table 1: systems", "plus", MAIN)
    if key == "2":
        return Table("2", "Table 2: parts of ImPulSe+ (T template, D deformation, C correction, LD loss on the "
                          "displacement, PT template made before training)", "plus", PARTS)  # fmt: skip
    if key == "3":
        return Table("3", "Table 3: encoders", "plus", ENCODERS)
    if key == "4":
        rows = [System(kind, name, dataset=inputs[kind]) for kind, name in INPUT_NAMES.items() if kind in inputs]
        reference = "ibav" if "ibav" in inputs else rows[-1].key
        return Table("4", "Table 4: kinds of input", reference, tuple(rows))
    if key == "5":
        rows = [
            System(row.key, row.name, row.trainer, row.changes, inputs["lbav"]) for row in PARTS if row is not TEMPLATE
        ]
        return Table("5", "Table 5: parts of ImPulSe+ on LBAV", "plus", tuple(rows))
    rows = [
        System(f"share{round(100 * share):02d}", f"1 - gamma = {share:g}", changes={MASK_SHARE: float(share)})
        for share in shares
    ]
    return Table("fig10", "Fig. 10: share of training points inside bronchi and vessels", rows[0].key, tuple(rows))


MASK_SHARE = "impulse.sampling.mask_share"
