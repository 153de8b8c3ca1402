"""``ImPulSePredictor``: nnU-Net's predictor for folders, files and arrays; one bad case does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor
from tqdm import tqdm

from impulse_nnunet.decoding import EncodedBox, decode_displacement, decode_labels
from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.inference.encoding import encode_image
from impulse_nnunet.inference.ensemble import Ensemble, ensemble_of, settings_of
from impulse_nnunet.inference.volume import predict_volume
from impulse_nnunet.inference.world import image_to_world, output_grid
from impulse_nnunet.inference.writers import Writers
from impulse_nnunet.io.dataset_json import channel_names
from impulse_nnunet.io.files import check_unchanged, remove_leftovers, stamps_of, write_json
from impulse_nnunet.io.grid import FileGrid, read_file_grid, reader_to_world
from impulse_nnunet.io.images import RawCase, check_image
from impulse_nnunet.io.label_maps import write_on_grid
from impulse_nnunet.io.listing import list_cases
from impulse_nnunet.io.nnunet import ASSUMED
from impulse_nnunet.laterality.asymmetry import asymmetry, decode
from impulse_nnunet.laterality.judgement import looks_mirrored, prediction_warning
from impulse_nnunet.network import ImPulSeNet
from impulse_nnunet.nnunet.case_input import preprocessed, read_to_predict
from impulse_nnunet.nnunet.cases import PreparedCase, decode_case, write_case
from impulse_nnunet.nnunet.look_ahead import in_order
from impulse_nnunet.nnunet.meshes import decode_fine, write_meshes
from impulse_nnunet.nnunet.models import load_model, trained_folds
from impulse_nnunet.nnunet.output_options import DISPLACEMENT_FOLDER, OutputOptions
from impulse_nnunet.preprocessing.survey import image_to_judge, mask_channels
from impulse_nnunet.runtime.device_errors import DeviceLostError
from impulse_nnunet.runtime.environment import ensure_variables
from impulse_nnunet.runtime.output import suppress_output
from impulse_nnunet.settings import ImPulSeSettings

logger = logging.getLogger(__name__)

CHECK_MODEL = "check `model_training_output_dir`, or `dataset`, `trainer`, `plans` and `configuration`"


class ImPulSePredictor(nnUNetPredictor):
    """Predicts with trained models of this package; the labels are those that stock ``nnUNetv2_predict`` writes.

    Args:
        device: Where to compute; CUDA if there is one.
        progress_bar: Show one.
        verbose: nnU-Net's own output.
    """

    def __init__(self, device: torch.device | None = None, progress_bar: bool = True, verbose: bool = False) -> None:
        self.side_agreements: dict[str, float] = {}  # of the cases predicted so far (impulse_nnunet.laterality)
        device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with suppress_output(verbose):
            super().__init__(
                use_mirroring=False, perform_everything_on_device=device.type == "cuda", device=device, verbose=verbose,
                verbose_preprocessing=verbose, allow_tqdm=progress_bar,
            )  # fmt: skip

    def initialize_from_trained_model_folder(
        self,
        model_training_output_dir: str,
        use_folds: tuple[int | str, ...] | None,
        checkpoint_name: str = "checkpoint_final.pth",
    ) -> None:
        """As nnU-Net's, but no code in the files can run; what is missing or does not fit is named in one line."""
        folder = Path(model_training_output_dir)
        for name in ("dataset.json", "plans.json"):
            if not (folder / name).is_file():
                raise InputError(str(folder), f"no {name}", "a folder of a trained model", CHECK_MODEL)
        folds = use_folds or trained_folds(folder, checkpoint_name)
        for fold in folds:
            if not (folder / f"fold_{fold}" / checkpoint_name).is_file():
                raise InputError(
                    str(folder / f"fold_{fold}"),
                    f"no {checkpoint_name}",
                    "a trained fold",
                    "train it, or choose other `use_folds` or `checkpoint_name`",
                )
        ensure_variables()
        with suppress_output(self.verbose):
            model = load_model(folder, folds, checkpoint_name)
        trainer = model.folds[0].trainer
        if not isinstance(model.network, ImPulSeNet):
            raise InputError(str(folder), f"a model of {trainer}", "one of our trainers", "use nnUNetv2_predict")
        self.manual_initialization(
            model.network, model.plans_manager, model.configuration_manager, [fold.weights for fold in model.folds],
            model.description.dataset_json, trainer, model.folds[0].mirroring_axes,
        )  # fmt: skip

    def predict_folder(
        self,
        input_folder: str | Path,
        output_folder: str | Path,
        options: OutputOptions | None = None,
        overwrite: bool = True,
        num_parts: int = 1,
        part_id: int = 0,
        workers: int = 2,
    ) -> list[str]:
        """Predict the cases of a folder (nnU-Net's names, ``CASE_0000.nii.gz``) and return their identifiers.

        Raises:
            CasesFailedError: After the others are done, if cases failed.
        """
        if not 0 <= part_id < num_parts:
            raise InputError("`part_id`", str(part_id), f"0 to {num_parts - 1}", "count parts from 0")
        cases = list_cases(Path(input_folder), self.dataset_json["file_ending"])
        chosen = dict(list(cases.items())[part_id::num_parts])
        return self.predict_cases(chosen, output_folder, options, overwrite, workers)

    def predict_cases(
        self,
        cases: dict[str, list[str]],
        output_folder: str | Path,
        options: OutputOptions | None = None,
        overwrite: bool = True,
        workers: int = 2,
    ) -> list[str]:
        """Predict cases given as identifier -> channel files; see :meth:`predict_folder`."""
        options = options or OutputOptions()
        if options.displacement and not ensemble_of(self, all_folds=False).network.decoder.moves_points:
            raise InputError(
                "`displacement`", f"a model of {self.trainer_name}", "one that deforms a template", "leave it out"
            )
        output = Path(output_folder)
        output.mkdir(parents=True, exist_ok=True)
        remove_leftovers(output)
        for name, content in (("dataset.json", self.dataset_json), ("plans.json", self.plans_manager.plans)):
            write_json(content, output / name)
        todo = [case for case in cases if overwrite or not self._is_done(output / case, options)]
        ensemble = ensemble_of(self)
        failures: dict[str, str] = {}
        with ThreadPoolExecutor(max(1, workers)) as readers, Writers(workers) as writers:
            pending: dict[str, Future[object]] = {}
            prepared = in_order(readers, lambda case: self.prepare(case, cases[case]), todo)
            for case, future in tqdm(prepared, "Predicting", len(todo), unit="case", disable=not self.allow_tqdm):
                try:
                    pending[case] = writers.submit(self._predict_one(ensemble, future.result(), output, options))
                except DeviceLostError as error:
                    failures |= {left: f"{left}: not predicted" for left in todo[todo.index(case) :]}
                    failures[case] = str(error)
                    break
                except InputError as error:
                    failures[case] = str(error)
                except (RuntimeError, MemoryError) as error:
                    failures[case] = f"{case}: could not be predicted: {_one_line(error)}"
            for case, written in pending.items():
                try:
                    written.result()
                except (InputError, OSError, RuntimeError) as error:
                    failures[case] = f"{case}: could not be written: {_one_line(error)}"
        if failures:
            raise CasesFailedError(failures, len(todo))
        return todo

    def predict_array(self, image: np.ndarray, spacing_mm: Sequence[float], with_probabilities: bool = False) -> Any:
        """Predict one image in memory.

        Args:
            image: (channel, d, h, w), axes as nnU-Net's reader gives them (SimpleITK's order: z, y, x).
            spacing_mm: (d, h, w).
            with_probabilities: Also return (class, d, h, w) probabilities.

        Returns:
            (d, h, w) labels, or labels and probabilities.
        """
        check_image("image", image, len(self._channels()))
        preprocessor = self.configuration_manager.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case_npy(
            image,
            None,
            {"spacing": list(spacing_mm)},
            self.plans_manager,
            self.configuration_manager,
            self.dataset_json,
        )

        decode = partial(
            decode_case,
            properties=properties,
            plans_manager=self.plans_manager,
            with_probabilities=with_probabilities,
        )
        prediction = predict_volume(
            ensemble_of(self), torch.from_numpy(data), settings_of(self), decode, encode=self.encode
        )
        return (prediction.labels, prediction.probabilities) if with_probabilities else prediction.labels

    def _channels(self) -> Any:
        return channel_names(self.dataset_json)

    def prepare(self, case: str, files: list[str]) -> PreparedCase:
        """Read a case, check it and preprocess it as the plans say.

        Args:
            case: Identifier, for messages.
            files: One for each channel.

        Raises:
            InputError: Naming the file and what is wrong with it.
        """
        stamps = stamps_of(files)
        raw = read_to_predict(self, case, files)
        self._judge_sides(case, raw)
        image, properties = preprocessed(self, raw)
        return PreparedCase(case=case, files=files, image=image, properties=properties, stamps=stamps)

    def _judge_sides(self, case: str, raw: RawCase) -> None:
        """Note how well the image's asymmetry agrees with the training cases', where the plans know theirs."""
        learned, to_world = settings_of(self).laterality.asymmetry, reader_to_world(raw.properties)
        if not learned or to_world is None:
            return
        found = asymmetry(image_to_judge(raw.images, mask_channels(self.dataset_json)), to_world)
        self.side_agreements[case] = 0.0 if found is None else float(found @ decode(learned))
        if looks_mirrored(self.side_agreements[case]):
            logger.warning("%s", prediction_warning(case, self.side_agreements[case]))

    def encode(self, ensemble: Ensemble, image: Tensor, settings: ImPulSeSettings, case: str = "image") -> EncodedBox:
        """Encode a preprocessed image (channel, d, h, w); a subclass may look at the case in another way."""
        return encode_image(ensemble, image, settings, case)

    def _predict_one(self, ensemble: Ensemble, prepared: PreparedCase, output: Path, options: OutputOptions) -> Any:
        """Decode a case now; returns what is left to do, writing, for another thread."""
        decode = partial(self._decode_one, prepared=prepared, output=output, options=options)
        writes = predict_volume(
            ensemble, prepared.image, settings_of(self), decode, case=prepared.case, encode=self.encode
        )
        check_unchanged(prepared.stamps, prepared.case)
        return lambda: [write() for write in writes]

    def _decode_one(
        self, encoded: EncodedBox, block: int, prepared: PreparedCase, output: Path, options: OutputOptions
    ) -> list[Callable[[], None]]:
        properties, ending = prepared.properties, self.dataset_json["file_ending"]
        target = output / prepared.case
        writes: list[Callable[[], None]] = []
        if options.own_grid:
            prediction = decode_case(encoded, block, properties, self.plans_manager, options.probabilities)
            writes.append(lambda: write_case(prediction, properties, self.plans_manager, ending, str(target)))
        else:
            grid = self._other_grid(prepared, options)
            like = Path(options.like or prepared.files[0])
            labels = decode_labels(encoded, output_grid(grid, self._to_world(properties)), block)
            writes.append(lambda: write_on_grid(labels, grid, Path(f"{target}{ending}"), like=like))
        if options.displacement:
            own = read_file_grid(prepared.files[0])
            field = self._world_displacement(encoded, own, properties, block)
            path = output / DISPLACEMENT_FOLDER / f"{prepared.case}{ending}"
            writes.append(lambda: write_on_grid(field, own, path, like=Path(prepared.files[0])))
        if options.meshes:
            writes.append(self._meshes(encoded, block, prepared, output, options))
        return writes

    def _meshes(
        self, encoded: EncodedBox, block: int, prepared: PreparedCase, output: Path, options: OutputOptions
    ) -> Callable[[], None]:
        self._check_place(prepared)
        image, to_world = read_file_grid(prepared.files[0]), self._to_world(prepared.properties)
        fine = decode_fine(encoded, image, to_world, options.mesh_spacing_mm, block, prepared.case)
        return partial(write_meshes, fine, self.dataset_json, prepared.case, options.meshes, output)

    def _world_displacement(
        self, encoded: EncodedBox, grid: FileGrid, properties: dict[str, Any], block: int
    ) -> np.ndarray:
        to_world = self._to_world(properties)
        field = decode_displacement(encoded, output_grid(grid, to_world), block)
        return field @ to_world[:3, :3].T.astype(np.float32)

    def _to_world(self, properties: dict[str, Any]) -> np.ndarray:
        return image_to_world(properties, self.plans_manager.transpose_forward)

    def _check_place(self, prepared: PreparedCase) -> None:
        if prepared.properties.get(ASSUMED):
            expected, remedy = "one with a place for `spacing_mm`, `like` and `meshes`", "predict it on its own grid"
            raise InputError(prepared.case, "an image whose orientation is assumed", expected, remedy)

    def _other_grid(self, prepared: PreparedCase, options: OutputOptions) -> FileGrid:
        self._check_place(prepared)
        if options.like is not None:
            return read_file_grid(options.like)
        return read_file_grid(prepared.files[0]).with_spacing((options.spacing_mm or (1, 1, 1))[::-1])

    def _is_done(self, truncated: Path, options: OutputOptions) -> bool:
        files = options.files(truncated.parent, truncated.name, self.dataset_json["file_ending"])
        return all(file.is_file() for file in files)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
