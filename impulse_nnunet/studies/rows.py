"""Which rows each table has, and by what they differ from the plans as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from impulse_nnunet.network.systems import SYSTEMS

TABLES = ("1", "2", "3", "4", "5", "fig10")
FULL = "impulse_plus"
STOCK_TRAINER = "nnUNetTrainerBudget"
DEFAULT_SHARES = (0.0, 0.2, 0.5, 0.8)  # of 1 - gamma
INPUT_NAMES = {
    "i": "I",
    "ibav": "IBAV",
    "ibav_truth": "IBAV, ground truth",
    "l": "L",
    "l_truth": "L, ground truth",
    "lbav": "LBAV",
    "lbav_truth": "LBAV, ground truth",
}

_LD = "impulse.loss.displacement"
_ARCHITECTURE = "architecture.arch_kwargs"


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One row of a table.

    Args:
        key: Short name, part of the name of the configuration; the paper's figures are found by it.
        name: Name as the table writes it.
        system: Key of :data:`~impulse_nnunet.network.systems.SYSTEMS`; None for stock nnU-Net, and where nothing is
            trained (the template alone).
        changes: Dotted settings of the plans -> value, where they differ from the plans as they are.
        dataset: ID of the data set, where a table compares data sets; else None.
        stock: Whether it is trained with nnU-Net's own plans.
    """

    key: str
    name: str
    system: str | None = FULL
    changes: Mapping[str, Any] = field(default_factory=dict)
    dataset: int | None = None
    stock: bool = False

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return bool(self.trainer)

    @property
    def trainer(self) -> str:
        """nnU-Net trainer; empty where nothing is trained (the template alone)."""
        if self.system is None:
            return STOCK_TRAINER if self.stock else ""
        return SYSTEMS[self.system].trainer


@dataclass(frozen=True, kw_only=True)
class TablePlan:
    """A table of the paper, before anything is measured.

    Args:
        key: One of :data:`TABLES`.
        title: Title as the table writes it.
        reference: Key of the row that the others are tested against.
        rows: The rows.
    """

    key: str
    title: str
    reference: str
    rows: tuple[StudyRow, ...]


PLUS = StudyRow(key="plus", name="ImPulSe+")
IMPULSE = StudyRow(key="impulse", name="ImPulSe", system="impulse")
TEMPLATE = StudyRow(key="template", name="template alone", system=None)

MAIN = (
    StudyRow(key="nnunet", name="nnU-Net, sliding window", system=None, stock=True),
    StudyRow(key="deeplabv3", name="DeepLabv3, input grid", system="deeplabv3"),
    StudyRow(key="fcn", name="FCN, input grid", system="fcn"),
    StudyRow(key="lowres", name="nnU-Net, input grid", system="low_resolution"),
    IMPULSE,
    PLUS,
    TEMPLATE,
)
PARTS = (
    StudyRow(key="impulse", name="none (ImPulSe)", system="impulse"),
    StudyRow(
        key="co_trained",
        name="T D, template co-trained",
        changes={"impulse.template.mode": "co_trained", f"{_ARCHITECTURE}.correction": False, _LD: 0.0},
    ),
    StudyRow(key="no_correction", name="T D PT", changes={f"{_ARCHITECTURE}.correction": False, _LD: 0.0}),
    StudyRow(key="no_displacement_loss", name="T D C PT", changes={_LD: 0.0}),
    StudyRow(key="plus", name="T D C LD PT (ImPulSe+)"),
    TEMPLATE,
)
ENCODERS = (
    StudyRow(key="plus", name="ResNet-18", changes={f"{_ARCHITECTURE}.encoder": "resnet18"}),
    StudyRow(key="unet_encoder", name="U-Net encoder", changes={f"{_ARCHITECTURE}.encoder": "unet_encoder"}),
    StudyRow(key="unet", name="U-Net", changes={f"{_ARCHITECTURE}.encoder": "unet"}),
)


def table(key: str, inputs: Mapping[str, int] | None = None, shares: Sequence[float] = DEFAULT_SHARES) -> TablePlan:
    """The rows of a table.

    Args:
        key: One of :data:`TABLES`.
        inputs: Kind of input (:data:`INPUT_NAMES`) -> ID of its data set; tables 4 and 5 need it.
        shares: Values of 1 - gamma for ``fig10``.
    """
    inputs = inputs or {}
    if key == "1":
        return TablePlan(key="1", title="Table 1: systems", reference="plus", rows=MAIN)
    if key == "2":
        return TablePlan(
            key="2",
            title="Table 2: parts of ImPulSe+ (T template, D deformation, C correction, LD loss on the "
            "displacement, PT template made before training)",
            reference="plus",
            rows=PARTS,
        )
    if key == "3":
        return TablePlan(key="3", title="Table 3: encoders", reference="plus", rows=ENCODERS)
    if key == "4":
        rows = [
            StudyRow(key=kind, name=name, dataset=inputs[kind]) for kind, name in INPUT_NAMES.items() if kind in inputs
        ]
        reference = "ibav" if "ibav" in inputs else rows[-1].key
        return TablePlan(key="4", title="Table 4: kinds of input", reference=reference, rows=tuple(rows))
    if key == "5":
        rows = [
            StudyRow(key=row.key, name=row.name, system=row.system, changes=row.changes, dataset=inputs["lbav"])
            for row in PARTS
            if row is not TEMPLATE
        ]
        return TablePlan(key="5", title="Table 5: parts of ImPulSe+ on LBAV", reference="plus", rows=tuple(rows))
    rows = [
        StudyRow(
            key=f"share{round(100 * share):02d}", name=f"1 - gamma = {share:g}", changes={MASK_SHARE: float(share)}
        )
        for share in shares
    ]
    return TablePlan(
        key="fig10",
        title="Fig. 10: share of training points inside bronchi and vessels",
        reference=rows[0].key,
        rows=tuple(rows),
    )


MASK_SHARE = "impulse.sampling.mask_share"
