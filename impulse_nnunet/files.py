"""Files that appear only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

INCOMPLETE = ".incomplete"


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in a hidden folder beside ``path``; rename it to ``path`` when the block succeeds.

    The temporary name ends like the real one, for writers that choose a format by the ending. On an error the temporary
    file is removed and whatever stood at ``path`` stays.
    """
    path = Path(path)
    folder = path.parent / INCOMPLETE
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{os.getpid()}_{path.name}"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        with suppress(OSError):  # other files may still be on their way
            folder.rmdir()
