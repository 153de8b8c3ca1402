"""Tables of numbers as text, for the formats that are text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

ROWS = 65536  # at once


def rows_of_text(form: str, table: np.ndarray) -> Iterator[str]:
    """Rows of a table (n, k), each by a printf form with k places, many in one text."""
    for start in range(0, len(table), ROWS):
        part = table[start : start + ROWS]
        yield (form * len(part)) % tuple(part.ravel().tolist())
