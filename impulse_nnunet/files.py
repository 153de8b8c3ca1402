"""Files that appear only when they are whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INCOMPLETE = ".incomplete_"


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in a hidden folder of its own beside ``path``; rename it when the block succeeds.

    The temporary name is the real one, for writers that choose a format by the ending. On an error nothing of the new
    file is left and whatever stood at ``path`` stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=INCOMPLETE, dir=path.parent))
    try:
        yield folder / path.name
        os.replace(folder / path.name, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_whole(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a file with its times; it appears only when it is whole."""
    with whole_file(target) as path:
        shutil.copy2(source, path)


def link_whole(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Give a file a second name without a second copy where the file system can, else copy it."""
    with whole_file(target) as path:
        try:
            os.link(source, path)
        except OSError:
            shutil.copy2(source, path)


def write_json(content: Any, path: str | os.PathLike[str]) -> None:
    """Write JSON as nnU-Net does (4 spaces); the file appears only when it is whole."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=4), encoding="utf-8")
