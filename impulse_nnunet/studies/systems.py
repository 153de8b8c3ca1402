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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


PLUS = System(key="plus", name="ImPulSe+")
IMPULSE = System(key="impulse", name="ImPulSe", trainer="nnUNetTrainerImPulSeV1")
TEMPLATE = System(key="template", name="template alone", trainer="")

MAIN = (
    System(key="nnunet", name="nnU-Net, sliding window", trainer=STOCK_TRAINER, stock=True),
    System(key="deeplabv3", name="DeepLabv3, input grid", trainer="nnUNetTrainerDeepLabV3"),
    System(key="fcn", name="FCN, input grid", trainer="nnUNetTrainerFCN"),
    System(key="lowres", name="nnU-Net, input grid", trainer="nnUNetTrainerLowRes"),
    IMPULSE,
    PLUS,
    TEMPLATE,
)
PARTS = (
    System(key="impulse", name="none (ImPulSe)", trainer="nnUNetTrainerImPulSeV1"),
    System(
        key="co_trained", name="T D, template co-trained",
        changes={"impulse.template.mode": "co_trained", f"{_ARCHITECTURE}.correction": False, _LD: 0.0},
    ),
    System(key="no_correction", name="T D PT", changes={f"{_ARCHITECTURE}.correction": False, _LD: 0.0}),
    System(key="no_displacement_loss", name="T D C PT", changes={_LD: 0.0}),
    System(key="plus", name="T D C LD PT (ImPulSe+)"),
    TEMPLATE,
)  # fmt: skip
ENCODERS = (
    System(key="plus", name="ResNet-18", changes={f"{_ARCHITECTURE}.encoder": "resnet18"}),
    System(key="unet_encoder", name="U-Net encoder", changes={f"{_ARCHITECTURE}.encoder": "unet_encoder"}),
    System(key="unet", name="U-Net", changes={f"{_ARCHITECTURE}.encoder": "unet"}),
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
        return Table(key="1", title="Table 1: systems", reference="plus", systems=MAIN)
    if key == "2":
        return Table(
            key="2",
            title="Table 2: parts of ImPulSe+ (T template, D deformation, C correction, LD loss on the "
            "displacement, PT template made before training)",
            reference="plus",
            systems=PARTS,
        )
    if key == "3":
        return Table(key="3", title="Table 3: encoders", reference="plus", systems=ENCODERS)
    if key == "4":
        rows = [
            System(key=kind, name=name, dataset=inputs[kind]) for kind, name in INPUT_NAMES.items() if kind in inputs
        ]
        reference = "ibav" if "ibav" in inputs else rows[-1].key
        return Table(key="4", title="Table 4: kinds of input", reference=reference, systems=tuple(rows))
    if key == "5":
        rows = [
            System(key=row.key, name=row.name, trainer=row.trainer, changes=row.changes, dataset=inputs["lbav"])
            for row in PARTS
            if row is not TEMPLATE
        ]
        return Table(key="5", title="Table 5: parts of ImPulSe+ on LBAV", reference="plus", systems=tuple(rows))
    rows = [
        System(key=f"share{round(100 * share):02d}", name=f"1 - gamma = {share:g}", changes={MASK_SHARE: float(share)})
        for share in shares
    ]
    return Table(
        key="fig10",
        title="Fig. 10: share of training points inside bronchi and vessels",
        reference=rows[0].key,
        systems=tuple(rows),
    )


MASK_SHARE = "impulse.sampling.mask_share"
