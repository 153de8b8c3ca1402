"""The numba decorators that all compiled loops here share.

No fast mathematics and no parallel sums: the same seed must give the same voxels on any machine. Numba renews a cached
function when its own file changes, not when a file that it calls into does: after an edit, delete ``__pycache__``.
"""

from __future__ import annotations

from typing import Any

import numba

compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
parallel: Any = numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)


def use_threads(number: int) -> None:
    """Let the parallel loops of this process use at most ``number`` threads."""
    numba.set_num_threads(max(1, min(number, int(numba.config.NUMBA_NUM_THREADS))))  # type: ignore[attr-defined]
