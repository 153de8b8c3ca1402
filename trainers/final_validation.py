"""The validation after a training: every validation case at native resolution, in nnU-Net's schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import distributed

from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.nnunet.validation import predict_preprocessed, remove_stale, summarise

if TYPE_CHECKING:
    from impulse_nnunet.trainers.impulse import nnUNetTrainerImPulSe

SHOWN = 10


def validate(trainer: nnUNetTrainerImPulSe, save_probabilities: bool) -> None:
    """Decode the validation cases and write ``validation/summary.json``."""
    _, keys = trainer.do_split()
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if trainer.is_ddp else (0, 1)
    folder, ending = Path(trainer.output_folder) / "validation", trainer.dataset_json["file_ending"]
    if trainer.local_rank == 0:
        stale = remove_stale(folder, keys, ending)
        if stale:
            names = ", ".join(stale[:SHOWN]) + (", ..." if len(stale) > SHOWN else "")
            trainer.print_to_log_file(f"removed {len(stale)} case(s) of another split from {folder}: {names}")
    predict_preprocessed(
        Ensemble(trainer.bare_network(), None, trainer.device),
        trainer.dataset_class(trainer.preprocessed_dataset_folder, keys[rank::world]),
        trainer.settings,
        trainer.plans_manager,
        ending,
        folder,
        save_probabilities,
        trainer.print_to_log_file,
    )
    if trainer.is_ddp:
        distributed.barrier()
    if trainer.local_rank == 0:
        reference = Path(trainer.preprocessed_dataset_folder_base) / "gt_segmentations"
        metrics = summarise(folder, reference, keys, trainer.plans_manager, trainer.dataset_json)
        for label, values in metrics["mean"].items():
            trainer.logger.log_summary(f"final_val/class_{label}_dice", values["Dice"])
        trainer.logger.log_summary("final_val/foreground_dice", metrics["foreground_mean"]["Dice"])
        trainer.print_to_log_file("Validation complete")
        trainer.print_to_log_file("Mean Validation Dice: ", metrics["foreground_mean"]["Dice"])
