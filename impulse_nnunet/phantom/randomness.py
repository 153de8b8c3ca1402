"""Random numbers by name: what one part of a phantom draws does not change when another part draws more."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, case: int, name: str) -> np.random.Generator:
    """The generator of one part of one case.

    Args:
        seed: Seed of the cohort.
        case: Number of the case.
        name: Name of the part.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, case, zlib.crc32(name.encode())])))
