"""Zip files of models: where each entry would go and how large it is, before anything is unpacked."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from impulse_nnunet.errors import InputError

MOST_FILES = 50_000
LARGEST_BYTES = 200 * 2**30
LARGEST_FACTOR = 100  # of unpacked to packed size: text shrinks 10 to 20 times, weights hardly at all
SMALL_BYTES = 64 * 2**20  # what may grow by any factor
DEEPEST = 10  # folders
DATASET = re.compile(r"Dataset\d{3}_[^/\\]+")
FORBIDDEN = re.compile(r'[\\:*?"<>|\x00-\x1f]')
EXPECTED = "a zip file as nnUNetv2_export_model_to_zip writes it"
REMEDY = "get the file from its makers again"
NOT_AN_ARCHIVE = (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError)


def check_archive(path: Path) -> list[zipfile.ZipInfo]:
    """Look at the entries of a model's zip file.

    Args:
        path: The file.

    Returns:
        Its entries.

    Raises:
        InputError: It is not a zip file, or an entry would leave its folder, is a link, encrypted, named twice, does
            not lie in a data set's folder, or is too large; nothing was unpacked.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", EXPECTED, "check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except NOT_AN_ARCHIVE as error:
        raise InputError(str(path), f"something that is not a zip file ({error})", EXPECTED, REMEDY) from error
    if not any(not entry.is_dir() for entry in entries):
        raise InputError(str(path), "no file in it", EXPECTED, REMEDY)
    for entry in entries:
        _check_entry(entry, path)
    _check_names(entries, path)
    _check_sizes(entries, path)
    return entries


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip file that :func:`check_archive` let pass into an empty folder.

    Raises:
        InputError: As :func:`check_archive`, or an entry is damaged, or the disk is too full.
    """
    entries = check_archive(path)
    needed, free = sum(entry.file_size for entry in entries), shutil.disk_usage(folder).free
    if needed > free:
        found = f"{free / 2**30:.1f} GiB free"
        raise InputError(str(folder), found, f"{needed / 2**30:.1f} GiB for {path.name}", "free disk space")
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in entries:
                if not entry.is_dir():
                    target = folder / entry.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(entry) as source, target.open("xb") as sink:
                        shutil.copyfileobj(source, sink)  # never more than the size that was checked
    except NOT_AN_ARCHIVE as error:
        raise InputError(str(path), f"what cannot be unpacked ({error})", "a whole zip file", REMEDY) from error


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    name = entry.filename
    where = f"{path}, {name[:100]!r}"
    steps = PurePosixPath(name).parts
    if FORBIDDEN.search(name) or name.startswith("/") or ".." in steps or not steps or len(steps) > DEEPEST:
        raise InputError(where, "a path that leaves its folder or is not portable", "a path inside it", REMEDY)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(where, "a link or a device", "files and folders only", REMEDY)
    if entry.flag_bits & 0x1:
        raise InputError(where, "an encrypted entry", EXPECTED, "decrypt it with the program that made it")
    if not DATASET.fullmatch(steps[0]) or (len(steps) == 1 and not entry.is_dir()):
        raise InputError(where, "a file outside a data set's folder", "DatasetXXX_NAME/...", REMEDY)


def _check_names(entries: Sequence[zipfile.ZipInfo], path: Path) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = "/".join(PurePosixPath(entry.filename).parts).casefold()  # one file where case does not count
        if name in seen:
            raise InputError(f"{path}, {entry.filename[:100]!r}", "a name that is there twice", EXPECTED, REMEDY)
        seen.add(name)


def _check_sizes(entries: Sequence[zipfile.ZipInfo], path: Path) -> None:
    if len(entries) > MOST_FILES:
        raise InputError(str(path), f"{len(entries)} entries", f"at most {MOST_FILES}", REMEDY)
    total = sum(entry.file_size for entry in entries)
    if total > LARGEST_BYTES:
        found, most = f"{total / 2**30:.0f} GiB when unpacked", f"at most {LARGEST_BYTES / 2**30:.0f} GiB"
        raise InputError(str(path), found, most, REMEDY)
    if total > SMALL_BYTES and total > LARGEST_FACTOR * path.stat().st_size:
        found = f"{total / 2**20:.0f} MiB in a file of {path.stat().st_size / 2**20:.1f} MiB"
        raise InputError(str(path), found, f"at most {LARGEST_FACTOR} times its size", REMEDY)
