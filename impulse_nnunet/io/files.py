"""Files that appear only when they are whole, and files that must not change while they are read."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError

LOG_END = 8192  # bytes in which the last line is looked for
LONGEST_LINE = 200
INCOMPLETE = ".incomplete_"
LEFTOVER_S = 24 * 3600.0  # longer than any single file is on its way


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in a hidden folder of its own beside ``path``; rename it when the block succeeds.

    The temporary name is the real one, for writers that choose a format by the ending. On an error nothing of the new
    file is left and whatever stood at ``path`` stays.

    Raises:
        InputError: The block, which should do nothing but write, met a full disk or a folder that is read-only.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=INCOMPLETE, dir=path.parent))
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield folder / path.name
        _to_disk(folder / path.name)
        os.replace(folder / path.name, path)
    except FileNotFoundError:
        raise  # what the block reads is missing
    except (OSError, RuntimeError) as error:  # torch, ITK and blosc2 report a full disk as a RuntimeError
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_is_no_file(path: Path) -> None:
    """Refuse a place for a folder where a file lies, before any work is done.

    Raises:
        InputError: Naming the file.
    """
    first = next((place for place in (path, *path.parents) if place.exists()), path)
    if first.exists() and not first.is_dir():
        raise InputError(str(first), "a file", "a folder, or a new name", "choose another name, or remove it")


def make_folder(path: Path) -> None:
    """Make a folder, and those around it, if it is not there.

    Raises:
        InputError: A file has its name, or one of theirs, or it cannot be made.
    """
    check_is_no_file(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def remove_leftovers(folder: Path, older_than_s: float = LEFTOVER_S) -> None:
    """Remove what killed processes left of files on their way into ``folder``; younger ones may still be written."""
    for path in folder.glob(f"{INCOMPLETE}*"):
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue  # its process has just finished it
        if age >= older_than_s:
            shutil.rmtree(path, ignore_errors=True)


Stamps = dict[str, tuple[int, int]]


def stamps_of(files: Iterable[str | os.PathLike[str]]) -> Stamps:
    """Size and time of change (ns) of files; missing ones are left out."""
    found = {str(file): Path(file) for file in files}
    stats = {name: path.stat() for name, path in found.items() if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def check_unchanged(before: Stamps, subject: str) -> None:
    """Refuse a result for which files were read that have changed since ``before``.

    Raises:
        InputError: Naming the first of them.
    """
    now = stamps_of(before)
    changed = next((file for file, stamp in before.items() if now.get(file) != stamp), None)
    if changed is not None:
        raise InputError(
            subject,
            f"that {changed} changed while it was read",
            "files that stay as they are",
            "run it again when the file is complete",
        )


def _to_disk(path: Path) -> None:
    """Bring a file's content to the disk before its name changes: a machine that stops must not leave an empty one."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def unwritable(path: Path, error: Exception) -> InputError:
    """What a file that could not be written means to a user."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return InputError(
        str(path),
        f"a write error ({reason})",
        "room, and the right to write there",
        "free disk space or choose another folder",
    )


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


def last_line(log: Path) -> str:
    """The last line of a log with text, shortened; what begins with ``$`` is a command that said nothing."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - LOG_END))
        lines = stream.read().decode("utf-8", errors="replace").replace("\r", "\n").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "$")
    return "no output" if line.startswith("$") else line[:LONGEST_LINE]


def write_json(content: Any, path: str | os.PathLike[str]) -> None:
    """Write JSON as nnU-Net does (4 spaces); the file appears only when it is whole."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=4), encoding="utf-8")
