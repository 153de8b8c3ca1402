"""nnU-Net prints; our commands speak for themselves unless asked for more."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def suppress_output(verbose: bool = False) -> Iterator[None]:
    """Keep nnU-Net's prints, and the warnings of modules that it imports on its searches, off the screen."""
    if verbose:
        yield
        return
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
