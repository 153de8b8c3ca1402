"""Checkpoints from outside: the names in their pickle are read first, then PyTorch's weights-only reader loads them.

``torch.save`` writes an uncompressed zip file with one pickle, ``data.pkl``, and the tensors' bytes. nnU-Net's files
hold tensors, plain Python values, numpy scalars (its log) and a ``torch.device``; nothing else is let in.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.security.pickles import names_in_pickle

NUMPY_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")  # before numpy 2, and since
KINDS = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
ALLOWED_NAMES = frozenset(
    {
        "collections.OrderedDict",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_parameter",
        "torch.Size",
        "torch.device",
        "numpy.dtype",
        "_codecs.encode",
        *NUMPY_SCALARS,
        *(f"torch.{kind}Storage" for kind in KINDS),
    }
)
DTYPES = tuple({type(np.dtype(code)) for code in "fdebhilqBHILQ?"})
LARGEST_PICKLE_BYTES = 256 * 2**20
REMEDY = "get the model from its makers again, and open this one with nothing else"
DAMAGED = "get the file again: it is damaged, or no checkpoint"
NOT_A_CHECKPOINT = (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


def names_in_checkpoint(path: Path) -> set[str]:
    """Names that a checkpoint's pickle would import; nothing is unpickled.

    Raises:
        InputError: It is not a file as ``torch.save`` writes it.
    """
    expected = "a checkpoint as torch.save writes it"
    if not path.is_file():
        raise InputError(str(path), "no such file", "a checkpoint", "check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
            if len(set(names)) != len(names):
                raise InputError(str(path), "two entries of one name", expected, REMEDY)
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise InputError(str(path), "compressed entries", expected, REMEDY)
            if len(pickles) != 1 or not pickles[0].filename.endswith("/data.pkl"):
                raise InputError(str(path), f"{len(pickles)} pickles", f"{expected}, with data.pkl alone", REMEDY)
            if pickles[0].file_size > LARGEST_PICKLE_BYTES:
                found = f"a pickle of {pickles[0].file_size / 2**20:.0f} MiB"
                raise InputError(str(path), found, f"at most {LARGEST_PICKLE_BYTES // 2**20} MiB", REMEDY)
            return names_in_pickle(archive.read(pickles[0]))
    except InputError:
        raise
    except NOT_A_CHECKPOINT as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(str(path), f"what cannot be read as one ({reason})", expected, DAMAGED) from error


def check_checkpoint(path: Path) -> set[str]:
    """Refuse a checkpoint that would import anything but what nnU-Net's hold; returns the names that it has.

    Raises:
        InputError: Naming what it would import.
    """
    names = names_in_checkpoint(path)
    strange = sorted(names - ALLOWED_NAMES)
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise InputError(
            str(path),
            f"code that runs when it is read ({', '.join(strange[:3])}{more})",
            "weights and numbers only",
            REMEDY,
        )
    return names


def load_checkpoint(path: str | Path, map_location: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; no code in it can run.

    Args:
        path: The file.
        map_location: Where its tensors go.

    Returns:
        Its content.

    Raises:
        InputError: It holds anything but weights and numbers, is damaged, or is not a dict.
    """
    check_checkpoint(Path(path))
    scalar = np.float64(0).__reduce__()[0]
    allowed: list[Any] = [*((scalar, name) for name in NUMPY_SCALARS), np.dtype, *DTYPES]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(str(path), map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, *NOT_A_CHECKPOINT) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(str(path), f"a checkpoint that cannot be read ({reason})", "a whole one", DAMAGED) from error
    if not isinstance(content, dict):
        raise InputError(str(path), f"a {type(content).__name__}", "a checkpoint of nnU-Net", DAMAGED)
    return content
