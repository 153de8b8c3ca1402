"""What this package depends on, from the metadata of what is installed: the lock file, and the page of licences.

python tools/dependencies.py --lock requirements/lock-py311.txt    # write it
python tools/dependencies.py --check requirements/lock-py311.txt   # compare: exit code 1 if another set is installed
python tools/dependencies.py --page docs/dependencies.md           # write it
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
VIEWER_LOCK = PYPROJECT.parent / "viewer" / "package-lock.json"
PROJECT = "impulse-nnunet"
LOCKED_EXTRAS = ("dev", "tensorboard")
FIRST_LINES = "# Python {python}, Linux x86-64; written by tools/dependencies.py, installed by continuous integration\n"
PAGE = """# Dependencies and their licences

Written by `python tools/dependencies.py --page docs/dependencies.md` from the metadata of the installed packages
(Python {python}, Linux x86-64). Licences are what each package declares; its own files are what counts.

**Copyleft.** connected-components-3d is LGPL-3.0 (acvl-utils needs it too): it is imported as it is and can be
replaced, so this package stays Apache-2.0, but whoever ships it inside a product passes its licence on. The MPL-2.0 of
tqdm and certifi covers their own files alone. NVIDIA's libraries come with PyTorch's CUDA builds under NVIDIA's own
terms; a CPU build of PyTorch has none of them.

**Bounds.** Direct dependencies have a lower bound, the oldest with what is used here, and an upper bound: the next
minor version where nnU-Net's interfaces are touched (nnunetv2, dynamic-network-architectures, acvl-utils,
batchgenerators), else the next major version. `packaging` and `pillow` number their versions by the calendar and have
none. Continuous integration on Python 3.11 installs the exact versions of `requirements/lock-py311.txt` and refuses
others ([0015](decisions/0015-supply-chain.md)).

## Direct

| package | asked | tested | licence |
|---|---|---|---|
{direct}

## For development

| package | asked | tested | licence |
|---|---|---|---|
{development}

## Indirect

| package | tested | licence |
|---|---|---|
{indirect}

## In the page of `impulse_nnunet view`

Bundled into `impulse_nnunet/outputs/page/viewer.html` from npm's packages by `make viewer`; `viewer/package-lock.json`
holds their checksums, and the page holds their licences. esbuild builds the page and is not in it.

| package | version | licence |
|---|---|---|
{viewer}
"""


def requirements_of(name: str, extras: Iterable[str] = ()) -> list[Requirement]:
    """What an installed package asks for on this machine, with some of its extras."""
    if name == PROJECT:  # what pyproject.toml says now, not when it was installed
        project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
        parts = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
        return [Requirement(text) for part in parts for text in part]
    wanted = [Requirement(text) for text in metadata.requires(name) or ()]
    chosen = ["", *extras]
    return [r for r in wanted if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in chosen)]


def closure(name: str, extras: Iterable[str] = ()) -> set[str]:
    """Canonical names of all packages that a package needs, itself left out."""
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = requirements_of(name, extras)
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key not in seen:
            seen.add(key)
            found.add(key[0])
            todo += requirements_of(key[0], key[1])
    return found - {PROJECT}


def licence_of(name: str) -> str:
    """What a package declares as its licence, in one short line."""
    about = metadata.metadata(name)
    declared = about.get("License-Expression") or ""
    if not declared:
        classifiers = [c.split(" :: ")[-1] for c in about.get_all("Classifier") or () if c.startswith("License")]
        declared = ", ".join(c for c in classifiers if c != "OSI Approved")
    if not declared:
        declared = (about.get("License") or "not declared").strip().split("\n")[0]
    return declared[:80].replace("|", "/")


def lock() -> str:
    """The lock file's content."""
    names = sorted(closure(PROJECT, LOCKED_EXTRAS))
    lines = [f"{name}=={metadata.version(name)}" for name in names]
    return FIRST_LINES.format(python=_python()) + "\n".join(lines) + "\n"


def page() -> str:
    """The page's content."""
    direct = sorted(requirements_of(PROJECT), key=lambda r: canonicalize_name(r.name))
    names = {canonicalize_name(r.name) for r in direct}
    every = sorted(requirements_of(PROJECT, LOCKED_EXTRAS), key=lambda r: canonicalize_name(r.name))
    development = [r for r in every if canonicalize_name(r.name) not in names]
    rest = closure(PROJECT, LOCKED_EXTRAS) - names - {canonicalize_name(r.name) for r in development}
    return PAGE.format(
        python=_python(),
        direct="\n".join(map(_row, direct)),
        development="\n".join(dict.fromkeys(map(_row, development))),
        indirect="\n".join(f"| {name} | {metadata.version(name)} | {licence_of(name)} |" for name in sorted(rest)),
        viewer="\n".join(_rows_of_viewer()),
    )


def _rows_of_viewer() -> list[str]:
    packages = json.loads(VIEWER_LOCK.read_text(encoding="utf-8"))["packages"]
    return [
        f"| {name} | {packages[f'node_modules/{name}']['version']} | {packages[f'node_modules/{name}']['license']} |"
        for name in packages[""]["devDependencies"]
    ]


def differences(path: Path) -> list[str]:
    """What is installed otherwise than a lock file says."""
    wanted = dict(
        line.split("==") for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] not in "# "
    )
    found = {name: metadata.version(name) for name in closure(PROJECT, LOCKED_EXTRAS)}
    return [
        f"{name}: {found[name]} is installed, {path} has {wanted.get(name, 'none')}"
        for name in sorted(found)
        if found[name] != wanted.get(name)
    ]


def _row(requirement: Requirement) -> str:
    bounds = ",".join(sorted(str(requirement.specifier).split(","), reverse=True)) or "any"
    name = canonicalize_name(requirement.name)
    return f"| {name} | {bounds} | {metadata.version(name)} | {licence_of(name)} |"


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group(required=True)
    for flag in ("--lock", "--check", "--page"):
        group.add_argument(flag, type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.check is not None:
        found = differences(options.check)
        sys.stderr.write("".join(f"{line}\n" for line in found))
        return 1 if found else 0
    target, content = (options.lock, lock()) if options.lock is not None else (options.page, page())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
