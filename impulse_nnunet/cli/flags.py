"""From a setting's name in the library to its flag: the one place that knows both."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from impulse_nnunet.errors import NameOf

DESTINATIONS: Mapping[str, tuple[str, ...]] = {
    "bav": ("bav_model",),
    "checkpoint": ("chk",),
    "checkpoint_name": ("chk",),
    "configuration": ("c",),
    "dataset": ("d",),
    "displacement": ("save_displacement",),
    "fingerprint_extractor": ("fpe",),
    "fold": ("f",),
    "gpu_memory_target_in_gb": ("gpu_memory_target",),
    "images": ("i",),
    "input_folder": ("i",),
    "kind": ("inputs",),
    "lobes": ("lobe_model",),
    "mesh_spacing_mm": ("mesh_spacing",),
    "meshes": ("mesh",),
    "model_training_output_dir": ("m",),
    "noise_hu": ("noise",),
    "output": ("o",),
    "overrides": ("set",),
    "planner": ("pl",),
    "plans": ("p",),
    "probabilities": ("save_probabilities",),
    "processes": ("np", "npp"),
    "settings": ("set",),
    "slice_spacing_mm": ("slice_spacing",),
    "smooth_mm": ("smooth",),
    "spacing_mm": ("spacing",),
    "tolerances_mm": ("tolerance_mm",),
    "trainer": ("tr",),
    "training": ("n",),
    "use_folds": ("f",),
    "workers": ("npfp", "npp"),
}
"""Setting -> argparse destinations that stand for it, besides its own name."""

NNUNET: Mapping[str, str] = {
    "checkpoint_name": "-chk",
    "configuration": "-c",
    "continue_training": "--c",
    "dataset": "-d",
    "device": "-device",
    "input_folder": "-i",
    "model_training_output_dir": "-m",
    "only_run_validation": "--val",
    "plans": "-p",
    "pretrained_weights": "-pretrained_weights",
    "trainer": "-tr",
    "use_folds": "-f",
}
"""Setting -> flag of nnU-Net's own commands."""


def flags_of(parser: argparse.ArgumentParser, arguments: Sequence[str] = ()) -> dict[str, str]:
    """Destination -> flag of a parser and of the command inside it that the arguments choose; of all without any."""
    flags: dict[str, str] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            chosen = [name for name in arguments if name in action.choices][:1] or ([] if arguments else action.choices)
            for name in chosen:
                flags |= flags_of(action.choices[name], arguments[arguments.index(name) + 1 :] if arguments else ())
        elif action.option_strings:
            flags[action.dest] = action.option_strings[0]
    return flags


def names_in_nnunet(program: str) -> NameOf | None:
    """Names settings by the flags of nnU-Net's commands; None if the program is none of them."""
    return NNUNET.get if Path(program).name.startswith("nnUNetv2_") else None


class FlagNames:
    """Names settings by the flags of the command at hand, else by those of the first command that has them.

    A message that speaks of another command ("run impulse_nnunet table ...") names that command's flags.

    Args:
        own: Destination -> flag of the command at hand.
        commands: Names of the other commands, in order; their modules are imported only when they are needed.
    """

    def __init__(self, own: Mapping[str, str], commands: Iterable[str]) -> None:
        self.own, self.commands = own, tuple(commands)

    def __call__(self, setting: str) -> str | None:
        """The flag; None for what no command has."""
        found = _find(setting, self.own) or NNUNET.get(setting if setting in ONLY_NNUNET else "")
        if found is not None:
            return found
        others = (_find(setting, _flags_of_command(name)) for name in self.commands)
        return next((flag for flag in others if flag is not None), None)


ONLY_NNUNET = ("continue_training", "only_run_validation", "pretrained_weights")


def _find(setting: str, flags: Mapping[str, str]) -> str | None:
    names = (setting, *DESTINATIONS.get(setting, ()))
    return next((flags[name] for name in names if name in flags), None)


@cache
def _flags_of_command(name: str) -> dict[str, str]:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"impulse_nnunet.cli.{name}").add_arguments(parser)
    return flags_of(parser)
