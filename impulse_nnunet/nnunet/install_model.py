"""Putting a model's zip file into the results folder: all of it, checked, or nothing."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.nnunet.check_model import Row, check_unpacked
from impulse_nnunet.security.archives import unpack

logger = logging.getLogger(__name__)


def install_model(path: Path, results: Path, checkpoint_name: str) -> tuple[list[Row], list[Path]]:
    """Unpack a model's zip file beside its place, check it, and move it there.

    Args:
        path: The file.
        results: nnU-Net's results folder.
        checkpoint_name: That each fold must have.

    Returns:
        The table of the checks, and the folders that are there now (none if a check failed).

    Raises:
        InputError: The file is unsafe, or a model of that name is there already; nothing was installed.
    """
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incomplete_", dir=results) as temporary:
        unpack(path, Path(temporary))
        rows = check_unpacked(Path(temporary), path, checkpoint_name)
        if not all(row.ok for row in rows):
            return rows, []
        moves = _moves(Path(temporary), results)
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(source, target)
    return rows, [target for _, target in moves]


def _moves(unpacked: Path, results: Path) -> Sequence[tuple[Path, Path]]:
    """(from, to) of each model folder, and of what lies beside them and is not there yet."""
    moves = []
    for source in sorted(unpacked.glob("Dataset*/*")):
        target = results / source.relative_to(unpacked)
        if not target.exists():
            moves.append((source, target))
        elif (source / "plans.json").is_file():
            raise InputError(str(target), "a model that is there already", "a new place", "move it away first")
        else:
            logger.warning("%s is there already and is kept", target)
    return moves
