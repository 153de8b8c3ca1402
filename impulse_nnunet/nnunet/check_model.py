"""``check_model``: one table that says whether a model is safe and complete."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.nnunet.models import describe, load_model
from impulse_nnunet.runtime.environment import ensure_variables
from impulse_nnunet.runtime.output import suppress_output
from impulse_nnunet.security.archives import check_archive, unpack
from impulse_nnunet.security.checkpoints import check_checkpoint
from impulse_nnunet.security.pickles import names_in_pickle

POSTPROCESSING = "nnunetv2.postprocessing.remove_connected_components."  # nnU-Net's postprocessing.pkl names these
LARGEST_PICKLE_BYTES = 2**20
REMEDY = "remove the file, or leave the model"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        subject: What was looked at.
        ok: Whether it passed.
        detail: What was found.
    """

    subject: str
    ok: bool
    detail: str


def check_model(folder: Path, checkpoint_name: str, folds: Sequence[str] | None = None) -> list[Row]:
    """Check a model folder; nothing in it is imported or run.

    Args:
        folder: ``.../TRAINER__PLANS__CONFIGURATION``.
        checkpoint_name: That each fold must have.
        folds: Folds to look at; all that are there by default.
    """
    ensure_variables()
    present = sorted(path.name.removeprefix("fold_") for path in folder.glob("fold_*") if path.is_dir())
    chosen = list(folds or present)
    rows = [_row("plans and dataset.json", lambda: _described(folder))]
    if not chosen:
        rows.append(Row("folds", False, f"{folder}: found no fold_*, expected a trained fold; finish a training"))
    for fold in chosen:
        path = folder / f"fold_{fold}" / checkpoint_name
        rows.append(_row(f"fold_{fold}", partial(_names, path)))
    if all(row.ok for row in rows):
        rows += [_row(f"fold_{fold}, weights", partial(_fit, folder, fold, checkpoint_name)) for fold in chosen]
    rows += [_row(_relative(path, folder), partial(_pickle, path)) for path in _pickles(folder)]
    return rows


def check_archive_and_models(path: Path, checkpoint_name: str, folds: Sequence[str] | None = None) -> list[Row]:
    """Check a zip file, then each model in it, unpacked into a temporary folder that is removed."""
    rows = [_row("zip file", lambda: f"{len(check_archive(path))} entries, all inside a data set's folder")]
    if not rows[0].ok:
        return rows
    with tempfile.TemporaryDirectory(prefix="impulse_nnunet_") as folder:
        try:
            unpack(path, Path(folder))
        except InputError as error:
            return [*rows, Row("unpacking", False, str(error))]
        return rows + check_unpacked(Path(folder), path, checkpoint_name, folds)


def check_unpacked(folder: Path, archive: Path, checkpoint_name: str, folds: Sequence[str] | None = None) -> list[Row]:
    """Check each model in a folder that a zip file was unpacked into; details name the zip file."""
    rows = []
    models = model_folders(folder)
    if not models:
        rows.append(Row("models", False, f"{archive}: found no folder with plans.json, expected a model"))
    for model in models:
        found = check_model(model, checkpoint_name, folds)
        rows += [Row(f"{model.name}, {row.subject}", row.ok, row.detail) for row in found]
    beside = [path for path in _pickles(folder) if not any(model in path.parents for model in models)]
    rows += [_row(_relative(path, folder), partial(_pickle, path)) for path in beside]
    return [Row(row.subject, row.ok, row.detail.replace(str(folder), str(archive))) for row in rows]


def refuse_unsafe(folder: Path, folds: Sequence[str], checkpoint_name: str) -> None:
    """Refuse a model that stock nnU-Net is about to open, which reads checkpoints without restrictions.

    Raises:
        InputError: Its plans name strange classes, or a checkpoint holds anything but weights and numbers.
    """
    describe(folder)
    for fold in folds:
        check_checkpoint(folder / f"fold_{fold}" / checkpoint_name)


def model_folders(folder: Path) -> list[Path]:
    """Folders with plans.json, at nnU-Net's place below a results folder."""
    return sorted(path.parent for path in folder.glob("Dataset*/*/plans.json"))


def as_table(rows: Sequence[Row]) -> str:
    """The rows, one line each."""
    width = max(len(row.subject) for row in rows)
    return "\n".join(f"{'ok ' if row.ok else 'BAD'}  {row.subject:<{width}}  {row.detail}" for row in rows)


def _row(subject: str, check: Callable[[], str]) -> Row:
    try:
        with suppress_output():
            return Row(subject, True, check())
    except InputError as error:
        return Row(subject, False, str(error))


def _described(folder: Path) -> str:
    description = describe(folder)
    labels = len(description.dataset_json["labels"])
    return f"{labels} labels; names {', '.join(name.rpartition('.')[2] for name in description.class_names)}"


def _names(path: Path) -> str:
    return f"{path.name}: weights and numbers only ({len(check_checkpoint(path))} names, all of PyTorch and numpy)"


def _fit(folder: Path, fold: str, checkpoint_name: str) -> str:
    model = load_model(folder, [fold], checkpoint_name)
    numbers = sum(value.numel() for value in model.folds[0].weights.values())
    first = model.folds[0]
    network = type(model.network).__name__
    return f"{numbers / 1e6:.2f} million, finite, fit {network} ({first.trainer}, {first.configuration})"


def _pickle(path: Path) -> str:
    if path.stat().st_size > LARGEST_PICKLE_BYTES:
        raise InputError(str(path), "a pickle of more than 1 MiB", "nnU-Net's postprocessing.pkl", REMEDY)
    try:
        names = names_in_pickle(path.read_bytes())
    except ValueError as error:
        raise InputError(str(path), f"no pickle ({error})", "nnU-Net's postprocessing.pkl", REMEDY) from error
    strange = sorted(name for name in names if not name.startswith(POSTPROCESSING))
    if strange:
        found = f"code that runs when it is read ({', '.join(strange[:3])})"
        raise InputError(str(path), found, "nnU-Net's postprocessing", REMEDY)
    return "nnU-Net's postprocessing alone"


def _pickles(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.pkl") if path.is_file())


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder))
