"""``nnUNetTrainerImPulSe``: nnU-Net's training loop, folders, logs and checkpoints around the implicit network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import distributed

from impulse_nnunet.errors import InputError, with_users_names
from impulse_nnunet.io.files import remove_leftovers
from impulse_nnunet.network import SYSTEMS, ImPulSeNet, PointPrediction
from impulse_nnunet.network.precision import needs_scaler
from impulse_nnunet.runtime.devices import check_device
from impulse_nnunet.runtime.signals import StopRequestedError
from impulse_nnunet.runtime.threads import limit_cpu_threads
from impulse_nnunet.security.checkpoints import load_checkpoint
from impulse_nnunet.settings import network_task, settings_from_configuration
from impulse_nnunet.trainers.checks import check_supported
from impulse_nnunet.trainers.early_end import TimeUpError, finish
from impulse_nnunet.trainers.final_validation import validate
from impulse_nnunet.trainers.interruption import Interruption, PartialEpoch
from impulse_nnunet.trainers.loaders import case_stores, make_loaders
from impulse_nnunet.trainers.model_folder import check_split, whole_model_files
from impulse_nnunet.trainers.outputs import read_outputs
from impulse_nnunet.trainers.pace import Pace, Schedule
from impulse_nnunet.trainers.ranks import any_rank, initialize_cpu_rank, ranks_device, time_to_ask
from impulse_nnunet.trainers.resume import keep_partial_epoch, start_within_epoch, take_over, whole_checkpoint
from impulse_nnunet.trainers.schedule import CosineSchedule
from impulse_nnunet.trainers.steps import check_epoch, descend
from impulse_nnunet.trainers.template_stage import make_template, report_co_trained_template
from impulse_nnunet.training.curves import TensorBoardLogger
from impulse_nnunet.training.device_batches import DeviceBatches
from impulse_nnunet.training.inputs import NetworkBatch
from impulse_nnunet.training.losses import hard_counts, point_loss
from impulse_nnunet.training.optimiser import adamw, keep_average, use_average
from impulse_nnunet.training.template_fit import CHECKPOINT_NAME

SAVE_EVERY_EPOCHS = 5
FINAL_CHECKPOINT = "checkpoint_final.pth"  # after a wall-clock limit the number of epochs does not tell the end


class nnUNetTrainerImPulSe(nnUNetTrainer):
    """Template-guided implicit reconstruction (ImPulSe+): the template first, then encoder and heads.

    Args:
        plans: Content of ImPulSePlans.json.
        configuration: ``3d_impulse`` or one that inherits from it.
        fold: Fold of the cross-validation, or "all".
        dataset_json: Content of dataset.json.
        device: Where to train.
    """

    system: ClassVar[str] = "impulse_plus"  # of impulse_nnunet.network.SYSTEMS; all that a subclass has to say
    device: torch.device
    network: Any  # ImPulSeNet, wrapped where there are several processes
    dataset_class: Any

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008  the parent's signature
    ) -> None:
        check_supported(plans, configuration, dataset_json)
        if not distributed.is_initialized():  # each rank's device is its own
            check_device(device)
        self.continue_training = bool(plans.get("continue_training", False))
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.settings = settings_from_configuration(self.configuration_manager.configuration)
        limit_cpu_threads(self.device)
        training = self.settings.training
        if self.is_ddp:
            self.device = ranks_device(self.device)
        if self.is_ddp and training.max_minutes > 0:
            raise NotImplementedError("training.max_minutes is not supported on several GPUs: their clocks differ")
        self.num_epochs = training.epochs
        self.num_iterations_per_epoch = training.iterations
        self.num_val_iterations_per_epoch = training.validation_iterations
        self.initial_lr, self.weight_decay = training.learning_rate, training.weight_decay
        self.save_every = SAVE_EVERY_EPOCHS
        self.enable_deep_supervision = False
        if not needs_scaler(self.device):
            self.grad_scaler = None
        schedule = Schedule(
            epochs=training.epochs,
            iterations=training.iterations,
            validation_iterations=training.validation_iterations,
        )
        self.pace = Pace(training.max_minutes, schedule)
        self.steps_before, self.finished = 0, False
        self.interruption = Interruption(several=self.is_ddp)
        self.epoch_outputs: list[dict[str, Any]] = []  # of the epoch's steps so far, on the device
        self.partial_epoch: PartialEpoch | None = None  # where an interrupted training goes on
        if TensorBoardLogger.enabled() and self.local_rank == 0:
            self.logger.loggers.append(TensorBoardLogger(self.output_folder))

    # ---- building -------------------------------------------------------------------------------------------------

    @classmethod
    def build_network_architecture(
        cls,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = False,
    ) -> ImPulSeNet:
        """The system's network by the plans; stock prediction calls this too."""
        task = network_task(configuration_manager.configuration, num_input_channels, num_output_channels)
        return SYSTEMS[cls.system].build(task)

    def initialize(self) -> None:
        """Overrides nnU-Net's: with seeded weights."""
        if self.was_initialized:
            return
        torch.manual_seed(self.settings.training.seed)
        if self.is_ddp and self.device.type == "cpu":
            initialize_cpu_rank(self, super().initialize)
        else:
            super().initialize()
        if self.is_ddp:  # no buffer differs between ranks, and the template is too large to be sent at every step
            self.network.broadcast_buffers = False

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, CosineSchedule]:
        """AdamW and a cosine that :meth:`train_step` moves."""
        optimiser = adamw(self.network.parameters(), self.initial_lr, self.device, self.weight_decay)
        if self.settings.training.averaging > 0:
            keep_average(optimiser, self.settings.training.averaging)
        return optimiser, CosineSchedule(optimiser, self.initial_lr, self.settings.training.final_learning_rate)

    def _build_loss(self) -> Any:
        settings = self.settings.loss
        return lambda prediction, labels: point_loss(prediction, labels, settings)

    def _do_i_compile(self) -> bool:
        return False

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """Nothing: the network has one output."""

    def plot_network_architecture(self) -> None:
        """Nothing: the picture needs a package that no longer works."""

    def get_dataloaders(self) -> tuple[DeviceBatches, DeviceBatches]:
        """Boxes, points and labels instead of patches."""
        self.cases, self.validation_cases = case_stores(self)
        return make_loaders(self)

    def do_split(self) -> tuple[list[str], list[str]]:
        """Overrides nnU-Net's: by a split that was checked; its file appears only when it is whole."""
        check_split(self)
        return super().do_split()

    # ---- training -------------------------------------------------------------------------------------------------

    def run_training(self) -> None:
        """The parent's loop, ended early by the plans' minutes, or by SIGTERM or Ctrl-C with the state saved."""
        with self.interruption.listening():
            try:
                super().run_training()
            except TimeUpError as error:
                finish(self, error, self.pace, self.epoch_outputs)
            except StopRequestedError as error:
                stop = StopRequestedError(self.interruption.number)
                text = f"{stop}: the state is saved; go on with `continue_training`"
                self.print_to_log_file(with_users_names(text))
                raise stop from error
            except OSError as error:
                raise InputError(
                    error.filename or self.output_folder,
                    f"an error ({error.strerror or error})",
                    "files that can be read and written",
                    "fix it, then go on with `continue_training`",
                ) from error
            finally:
                for loader in (self.dataloader_train, self.dataloader_val):
                    if loader is not None:
                        loader.close()

    def on_train_start(self) -> None:
        """Overrides nnU-Net's: then the template, which stays fixed from here on."""
        self.pace.start()
        if self.local_rank == 0:
            remove_leftovers(Path(self.output_folder), older_than_s=0)  # no other process writes there
            remove_leftovers(Path(self.output_folder_base))
        with whole_model_files(self):
            super().on_train_start()
        self._save_debug_information()  # again, with the folder's own name
        if self.current_epoch == 0:
            if self.bare_network().origin:
                self.print_to_log_file("Pretrained weights from", self.bare_network().origin)
            make_template(self)
        durations = zip(
            self.logger.get_value("epoch_end_timestamps", step=None),
            self.logger.get_value("epoch_start_timestamps", step=None),
            strict=False,
        )
        partial = self.partial_epoch.seconds if self.partial_epoch is not None else 0.0
        self.pace.before_s = partial or sum(end - start for end, start in durations)

    def on_epoch_start(self) -> None:
        """Overrides nnU-Net's: everything random in the epoch follows from the seed and the epoch."""
        if self.finished or (self.pace.is_over and self.current_epoch > 0):
            raise TimeUpError(within_epoch=False)
        super().on_epoch_start()
        torch.manual_seed(self.settings.training.seed + 1000 * (self.current_epoch + 1) + self.local_rank)
        start_within_epoch(self)
        self.dataloader_val.seek(self.current_epoch * self.num_val_iterations_per_epoch)
        self.pace.begin()

    def on_train_end(self) -> None:
        """Overrides nnU-Net's: with the mean of the weights if one is kept; nothing is left of an interruption."""
        use_average(self.optimizer)
        super().on_train_end()
        report_co_trained_template(self)
        if self.local_rank == 0:
            PartialEpoch.forget(Path(self.output_folder))

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        """Overrides nnU-Net's: with the steps before an interruption; an epoch that ruined the weights is refused."""
        self.epoch_outputs = read_outputs(self.epoch_outputs)
        check_epoch(self)
        super().on_train_epoch_end(self.epoch_outputs)
        self.pace.begin()

    def on_epoch_end(self) -> None:
        """Overrides nnU-Net's: the first epoch's checkpoint holds the template, so its own is dropped."""
        super().on_epoch_end()
        self.print_to_log_file(f"{self.pace.step_s:.2f} s a step, {self.pace.expectation(self.current_epoch, 0)}")
        if self.local_rank == 0 and not self.disable_checkpointing:
            (Path(self.output_folder) / CHECKPOINT_NAME).unlink(missing_ok=True)

    def train_step(self, batch: NetworkBatch) -> dict[str, Any]:
        """One step on one batch; the learning rate moves with every step, and the loss stays on the device."""
        self._check_interruption(self.dataloader_train.step)
        if self.epoch_outputs and self.pace.is_over:
            raise TimeUpError(within_epoch=True)
        self.lr_scheduler.move_to(self._progress())
        self.optimizer.zero_grad(set_to_none=True)
        loss, _ = self._predict(batch)
        descend(self, loss)
        self.epoch_outputs.append({"loss": loss.detach()})
        self.pace.step_made()
        line = self.pace.line(self.current_epoch, len(self.epoch_outputs))
        if line is not None:
            self.print_to_log_file(line)
        return self.epoch_outputs[-1]

    def validation_step(self, batch: NetworkBatch) -> dict[str, Any]:
        """Loss and counts on random points of validation cases: nnU-Net's pseudo Dice."""
        self._check_interruption(self.dataloader_val.step)
        loss, prediction = self._predict(batch)
        tp, fp, fn = hard_counts(prediction.logits, batch.labels)
        return {"loss": loss, "tp_hard": tp, "fp_hard": fp, "fn_hard": fn}

    def _predict(self, batch: NetworkBatch) -> tuple[torch.Tensor, PointPrediction]:
        """Loss, the localizer's included, and prediction of a batch."""
        found = self.network(batch.images, batch.points, batch.search, at_voxels=batch.points is None)
        if batch.search is None:
            return self.loss(found, batch.labels), found
        prediction, search = found
        return self.loss(prediction, batch.labels) + self.loss(search, batch.foreground), prediction

    def on_validation_epoch_end(self, val_outputs: list[dict]) -> None:
        """Overrides nnU-Net's: a label that no point of the epoch met is left out of the mean, without a warning."""
        found = read_outputs(val_outputs)
        self.pace.validated(len(found))
        with np.errstate(invalid="ignore"):
            super().on_validation_epoch_end(found)

    def _progress(self) -> float:
        """Share of the training that is done, by steps or, where the plans set a limit, by the clock."""
        training = self.settings.training
        step = self.dataloader_train.step - 1
        return self.pace.progress(max(step, 0) / (training.epochs * training.iterations))

    def bare_network(self) -> ImPulSeNet:
        """The network without the wrapper of several GPUs."""
        return self.network.module if self.is_ddp else self.network

    # ---- checkpoints and validation -------------------------------------------------------------------------------

    def save_checkpoint(self, filename: str) -> None:
        """Overrides nnU-Net's: the file appears only when it is whole."""
        if self.local_rank != 0 or self.disable_checkpointing:
            super().save_checkpoint(filename)
            return
        with whole_checkpoint(filename) as path:
            super().save_checkpoint(str(path))

    def _check_interruption(self, step: int) -> None:
        """After SIGTERM or Ctrl-C to any rank: keep the state between two steps and end."""
        if time_to_ask(step, self.device) and any_rank(self.interruption.asked, self.device):
            keep_partial_epoch(self)
            raise StopRequestedError(self.interruption.number)

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Overrides nnU-Net's: no code in the file can run; a checkpoint of another network is named in one line."""
        checkpoint, name = filename_or_checkpoint, str(filename_or_checkpoint)
        if isinstance(checkpoint, str):
            checkpoint = load_checkpoint(checkpoint)  # to the CPU: the optimiser knows what belongs on a GPU
        if not self.was_initialized:
            self.initialize()
        take_over(self, checkpoint, name)
        self.finished = self.settings.training.max_minutes > 0 and Path(name).name == FINAL_CHECKPOINT

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Decode the validation cases at native resolution and write ``validation/summary.json``."""
        validate(self, save_probabilities)
