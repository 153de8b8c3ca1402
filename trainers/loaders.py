"""Where a training's batches come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import distributed

from impulse_nnunet.network import SYSTEMS
from impulse_nnunet.trainers.ranks import from_all_ranks
from impulse_nnunet.training.batches import BatchMaker, CaseStore, OrderedPrefetcher
from impulse_nnunet.training.device_batches import DeviceBatches
from impulse_nnunet.training.inputs import InputMaker
from impulse_nnunet.training.memory import SMALLEST_CACHE_BYTES, cache_bytes

if TYPE_CHECKING:
    from impulse_nnunet.trainers.impulse import nnUNetTrainerImPulSe


def case_stores(trainer: nnUNetTrainerImPulSe) -> list[CaseStore]:
    """Training and validation cases; the memory for them is shared by their numbers."""
    datasets: list[Any] = list(trainer.get_tr_and_val_datasets())
    total = cache_bytes(distributed.get_world_size() if trainer.is_ddp else 1)
    cases = max(1, sum(len(dataset.identifiers) for dataset in datasets))
    return [
        CaseStore(
            dataset,
            trainer.settings,
            trainer.label_manager.ignore_label,
            trainer.plans_manager.transpose_forward,
            max(SMALLEST_CACHE_BYTES, total * len(dataset.identifiers) // cases),
            pin=trainer.device.type == "cuda",
        )
        for dataset in datasets
    ]


def make_loaders(trainer: nnUNetTrainerImPulSe) -> tuple[DeviceBatches, DeviceBatches]:
    """Batches of the training and of the validation cases, on the trainer's device; only the first are augmented."""
    first = sum(from_all_ranks(trainer.batch_size)[: trainer.local_rank])
    workers = max(1, min(get_allowed_n_proc_DA(), 2 * trainer.batch_size))
    dense = SYSTEMS[trainer.system].dense

    def loader(cases: CaseStore, stream: int, workers: int) -> DeviceBatches:
        samples = BatchMaker(cases, trainer.settings, stream, first, trainer.batch_size, dense)
        inputs = InputMaker(trainer.settings, trainer.device, augment=stream == 0)
        return DeviceBatches(OrderedPrefetcher(samples, workers), inputs, trainer.device)

    return loader(trainer.cases, 0, workers), loader(trainer.validation_cases, 1, max(1, workers // 2))
