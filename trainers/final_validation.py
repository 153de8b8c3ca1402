"""The validation after a training: every validation case at native resolution, in nnU-Net's schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import distributed

from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.nnunet.validation import predict_preprocessed, summarise

if TYPE_CHECKING:
    from impulse_nnunet.trainers.impulse import nnUNetTrainerImPulSe


def validate(trainer: nnUNetTrainerImPulSe, save_probabilities: bool) -> None:
    """Decode the validation cases and write ``validation/summary.json``."""
    _, keys = trainer.do_split()
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if trainer.is_ddp else (0, 1)
    folder = Path(trainer.output_folder) / "validation"
    predict_preprocessed(
        Ensemble(trainer.bare_network(), None, trainer.device),
        trainer.dataset_class(trainer.preprocessed_dataset_folder, keys[rank::world]),
        trainer.settings,
        trainer.plans_manager,
        trainer.dataset_json["file_ending"],
        folder,
        save_probabilities,
        trainer.print_to_log_file,
    )
    if trainer.is_ddp:
        distributed.barrier()
    if trainer.local_rank == 0:
        reference = Path(trainer.preprocessed_dataset_folder_base) / "gt_segmentations"
        metrics = summarise(folder, reference, trainer.plans_manager, trainer.dataset_json)
        for label, values in metrics["mean"].items():
            trainer.logger.log_summary(f"final_val/class_{label}_dice", values["Dice"])
        trainer.logger.log_summary("final_val/foreground_dice", metrics["foreground_mean"]["Dice"])
        trainer.print_to_log_file("Validation complete")
        trainer.print_to_log_file("Mean Validation Dice: ", metrics["foreground_mean"]["Dice"])
