"""Is this machine ready? Each check tells what it found and, where something is missing, what to do."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from packaging.requirements import Requirement

from impulse_nnunet import __version__
from impulse_nnunet.errors import with_users_names
from impulse_nnunet.network.build import cpu_has_bfloat16
from impulse_nnunet.runtime.environment import FOLDERS, TRAINERS
from impulse_nnunet.runtime.output import suppress_output

TRAINER = "nnUNetTrainerImPulSe"
DISTRIBUTION = "impulse-nnunet"
SHELL_LINE = 'run: eval "$(impulse_nnunet env)"'


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        what: Was looked at.
        found: There.
        ok: Whether that will do.
        remedy: What to do if not.
    """

    what: str
    found: str
    ok: bool = True
    remedy: str = ""


def diagnose() -> list[Check]:
    """All checks, in the order in which they should be fixed."""
    return [
        Check("impulse_nnunet", f"{__version__}, Python {platform.python_version()}"),
        *_packages(),
        _device(),
        *[_folder(name) for name in FOLDERS],
        _trainer(),
    ]


def _packages() -> list[Check]:
    checks = []
    for text in metadata.requires(DISTRIBUTION) or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            checks.append(Check(requirement.name, "not installed", False, f"pip install '{text}'"))
            continue
        ok = requirement.specifier.contains(version, prereleases=True)
        checks.append(Check(requirement.name, version, ok, f"pip install '{text}'"))
    return checks


def _device() -> Check:
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 1e9
        return Check("device", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}, {memory:.0f} GB")
    kind = "bfloat16 in hardware" if cpu_has_bfloat16() else "no bfloat16 in hardware: training will be slow"
    return Check(
        "device", f"CPU, {os.cpu_count()} cores, {kind}; {with_users_names('give nnUNetv2_train `device` cpu')}"
    )


def _folder(name: str) -> Check:
    value = os.environ.get(name)
    if not value:
        return Check(name, "not set", False, SHELL_LINE)
    if not Path(value).is_dir():
        return Check(name, f"{value} does not exist", False, f"mkdir -p {value}")
    if name != "nnUNet_raw" and not os.access(value, os.W_OK):
        return Check(name, f"{value} cannot be written to", False, "change its permissions or choose another folder")
    return Check(name, value)


def _trainer() -> Check:
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    what = f"nnU-Net finds {TRAINER}"
    try:
        with suppress_output():
            found = recursive_find_trainer_class_by_name(TRAINER)
    except (RuntimeError, ImportError) as error:
        if not os.environ.get(TRAINERS):
            return Check(what, f"no, {TRAINERS} is not set", False, SHELL_LINE)
        return Check(what, f"no: {str(error).splitlines()[0][:150]}", False, SHELL_LINE)
    return Check(what, f"in {found.__module__}")
