"""Files that appear only when they are whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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


def copy_whole(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a file with its times; it appears only when it is whole."""
    with whole_file(target) as path:
        shutil.copy2(source, path)


def write_json(content: Any, path: str | os.PathLike[str]) -> None:
    """Write JSON as nnU-Net does (4 spaces); the file appears only when it is whole."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=4), encoding="utf-8")
