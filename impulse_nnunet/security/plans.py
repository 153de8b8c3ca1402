"""What a model's plans and dataset.json may say, checked before nnU-Net imports the classes that plans name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import channel_entry
from impulse_nnunet.io.json_files import not_finite
from impulse_nnunet.security.class_names import PACKAGES, is_defined_below, is_known_class

READERS = "nnunetv2.imageio"
PREPROCESSORS = "nnunetv2.preprocessing.preprocessors"
NORMALISERS = "nnunetv2.preprocessing.normalization"
RESAMPLERS = "nnunetv2.preprocessing.resampling"
LABEL_MANAGERS = "nnunetv2.utilities.label_handling"
OLD_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet")  # by these names in plans of early nnU-Net v2
FILE_ENDING = re.compile(r"(\.[A-Za-z0-9]{1,8}){1,3}")
PLAIN_NAME = re.compile(r"[^/\\\x00-\x1f]{1,200}")  # one step of a path
REMEDY = "take the model from its makers, or leave it"


def check_plans(plans: Mapping[str, Any], where: str) -> list[str]:
    """Refuse plans that name classes of other packages, or names that lead out of a folder.

    Args:
        plans: Content of a plans file.
        where: The file, for messages.

    Returns:
        The classes that they name.

    Raises:
        InputError: Naming the entry.
    """
    configurations = plans.get("configurations")
    if not isinstance(configurations, dict) or not configurations:
        raise InputError(where, "no configurations", "nnU-Net's plans", REMEDY)
    for key in ("dataset_name", "plans_name"):
        _check_plain_name(plans.get(key, "x"), f"{where}, {key}")
    strange = not_finite({key: value for key, value in plans.items() if "intensity_properties" not in key})
    if strange:
        raise InputError(f"{where}, {strange}", "no finite number", "numbers", REMEDY)
    found = list(_check_all(_names_of_plans(plans), where))
    for name, configuration in configurations.items():
        _check_plain_name(name, f"{where}, configurations")
        if not isinstance(configuration, dict):
            raise InputError(f"{where}, {name}", f"a {type(configuration).__name__}", "a configuration", REMEDY)
        for key in ("data_identifier", "inherits_from"):
            _check_plain_name(configuration.get(key, "x"), f"{where}, {name}.{key}")
        found += _check_all(_names_of_configuration(configuration, where), f"{where}, {name}")
    return sorted(set(found))


def check_dataset_json(content: Mapping[str, Any], where: str) -> None:
    """Refuse a model's dataset.json without what prediction needs, or with a file ending that is a path.

    Raises:
        InputError: Naming the entry.
    """
    for key, value in (("labels", content.get("labels")), ("channel_names", channel_entry(content))):
        if not isinstance(value, dict) or not value:
            raise InputError(where, f"no {key}", "nnU-Net's dataset.json", REMEDY)
    ending = content.get("file_ending")
    if not isinstance(ending, str) or not FILE_ENDING.fullmatch(ending):
        raise InputError(f"{where}, file_ending", repr(ending)[:60], "such as .nii.gz", REMEDY)
    strange = not_finite(content)
    if strange:
        raise InputError(f"{where}, {strange}", "no finite number", "numbers", REMEDY)


def _names_of_plans(plans: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """(entry, name, package) of the classes that are named beside the configurations."""
    for entry, package in (("image_reader_writer", READERS), ("label_manager", LABEL_MANAGERS)):
        if plans.get(entry) is not None:
            yield entry, plans[entry], package


def _names_of_configuration(configuration: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any, str]]:
    """(entry, name, package) of the classes and functions that a configuration names; "" for dotted names."""
    if "preprocessor_name" in configuration:
        yield "preprocessor_name", configuration["preprocessor_name"], PREPROCESSORS
    for name in _list(configuration.get("normalization_schemes", []), f"{where}, normalization_schemes"):
        yield "normalization_schemes", name, NORMALISERS
    for part in ("data", "seg", "probabilities"):
        if f"resampling_fn_{part}" in configuration:
            yield f"resampling_fn_{part}", configuration[f"resampling_fn_{part}"], RESAMPLERS
    old = configuration.get("UNet_class_name")
    if old is not None and old not in OLD_NETWORKS:
        raise InputError(f"{where}, UNet_class_name", repr(old)[:80], " or ".join(OLD_NETWORKS), REMEDY)
    architecture = configuration.get("architecture")
    if architecture is None:
        return
    if not isinstance(architecture, dict) or not isinstance(architecture.get("arch_kwargs"), dict):
        raise InputError(f"{where}, architecture", "no arch_kwargs", "a network's class and sizes", REMEDY)
    yield "architecture.network_class_name", architecture.get("network_class_name"), ""
    for key in _list(architecture.get("_kw_requires_import", []), f"{where}, _kw_requires_import"):
        if architecture["arch_kwargs"].get(key) is not None:
            yield f"architecture.arch_kwargs.{key}", architecture["arch_kwargs"][key], ""


def _check_all(names: Iterator[tuple[str, Any, str]], where: str) -> Iterator[str]:
    for entry, name, package in names:
        kind = ast.FunctionDef if entry.startswith("resampling_fn") else ast.ClassDef
        known = isinstance(name, str) and (is_defined_below(package, name, kind) if package else is_known_class(name))
        if not known:
            origin = package or f"{', '.join(PACKAGES)} or torch.nn"
            expected = f"a {'function' if kind is ast.FunctionDef else 'class'} of {origin}"
            raise InputError(f"{where}, {entry}", repr(name)[:80], expected, REMEDY)
        yield str(name)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise InputError(where, repr(value)[:80], "a list", REMEDY)
    return list(value)


def _check_plain_name(name: Any, where: str) -> None:
    if not isinstance(name, str) or not PLAIN_NAME.fullmatch(name) or name in (".", ".."):
        raise InputError(where, repr(name)[:80], "a name without slashes", REMEDY)
