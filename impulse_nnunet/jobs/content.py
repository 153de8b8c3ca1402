"""What files hold, by digest: a file is read again only where its size or time of change differ from what was noted.

A note is ``[bytes, nanoseconds of the last change, digest]``. Size and time that are as noted stand for the content;
where they are not, the content decides, so that a copied or touched file counts as the same, and one edited at equal
size does not. A file younger than the clock of a file system can tell apart is noted without a time and read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from impulse_nnunet.runtime.environment import FOLDERS

ABSENT = "absent"
DIGITS = 32  # hexadecimal, of SHA-256
CHUNK_BYTES = 2**20
CLOCK_TICK_NS = 20_000_000  # two changes within it may leave the same time
NO_TIME = -1

Note = tuple[int, int, str]
Notes = dict[str, Note]
_READ: dict[tuple[int, int, int, int], str] = {}  # device, inode, size, time -> digest, of this process


class Contents:
    """Digests of files and folders.

    Args:
        noted: Name -> note of an earlier look, from a record; entries of another form are passed over.

    Attributes:
        notes: Name -> note of all files looked at.
    """

    def __init__(self, noted: Mapping[str, Any] | None = None) -> None:
        self._noted: Notes = {name: tuple(note) for name, note in (noted or {}).items() if _is_note(note)}
        self.notes: Notes = {}

    def digest(self, path: Path) -> str:
        """Hash of a file's content, or of the names and contents in a folder without its hidden files.

        :data:`ABSENT` stands for what is missing or cannot be read.
        """
        if path.is_dir():
            return digest_of([[str(file.relative_to(path)), self._of_file(file)] for file in _files_in(path)])
        return self._of_file(path)

    def _of_file(self, path: Path) -> str:
        try:
            status = path.stat()
            name, size, changed = by_variables(str(path)), status.st_size, status.st_mtime_ns
            old = self._noted.get(name)
            is_young = 0 <= time.time_ns() - changed < CLOCK_TICK_NS
            if old is not None and old[:2] == (size, changed):
                digest = old[2]
            else:
                digest = _read(path) if is_young else _read_once(path, status)
        except OSError:
            return ABSENT
        self.notes[name] = (size, NO_TIME if is_young else changed, digest)
        return digest


def note_files(paths: Iterable[Path]) -> Notes:
    """Notes of files; missing ones are left out."""
    contents = Contents()
    for path in paths:
        contents.digest(path)
    return contents.notes


def are_unchanged(noted: Mapping[str, Any] | None, paths: Sequence[Path]) -> bool:
    """Whether exactly the files that were noted are there, with the same content."""
    contents = Contents(noted)
    found = {by_variables(str(path)): contents.digest(path) for path in paths}
    wanted = {name: note[2] if _is_note(note) else None for name, note in (noted or {}).items()}
    return {name: digest for name, digest in found.items() if digest != ABSENT} == wanted


def digest_of(content: Any) -> str:
    """Digest of anything that JSON can hold; the order of an object's entries does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:DIGITS]


def by_variables(text: str) -> str:
    """Paths in nnU-Net's folders by their variables, as one would type them; so the folders may be moved."""
    for name in FOLDERS:
        if os.environ.get(name):
            text = text.replace(f"{os.environ[name]}/", f"${name}/")
    return text


def _files_in(folder: Path) -> list[Path]:
    return sorted(
        Path(base, name)
        for base, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".") and Path(base, name).is_file()
    )


def _read(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()[:DIGITS]


def _read_once(path: Path, status: os.stat_result) -> str:
    """Steps of one call share their sources, under this name or that of a hard link."""
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _READ:
        _READ[key] = _read(path)
    return _READ[key]


def _is_note(note: Any) -> bool:
    return isinstance(note, list | tuple) and len(note) == 3 and isinstance(note[2], str)
