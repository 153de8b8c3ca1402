import json
from types import SimpleNamespace

import pytest
import SimpleITK as sitk
import torch

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.nnunet.models import trained_folds
from impulse_nnunet.nnunet.output_options import OutputOptions
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.runtime.device_errors import device_lost


def test_two_other_grids_at_once_are_refused():
    with pytest.raises(InputError, match=r"`spacing_mm` and `like`: found both, expected one of them; leave one out"):
        OutputOptions(spacing_mm=(1, 1, 1), like="a.nii.gz")


def test_probabilities_come_on_the_images_own_grid_only(tmp_path):
    image = tmp_path / "like.nii.gz"
    sitk.WriteImage(sitk.Image(3, 4, 5, sitk.sitkInt16), str(image))
    message = "`probabilities`: found another output grid, expected the image's own grid; leave `spacing_mm` and"
    for other in ({"spacing_mm": (1.0, 1.0, 1.0)}, {"like": str(image)}):
        with pytest.raises(InputError, match=message):
            OutputOptions(probabilities=True, **other)
        assert not OutputOptions(**other).own_grid


def test_a_grid_to_be_like_is_looked_for_at_once(tmp_path):
    with pytest.raises(InputError, match="found a file whose geometry cannot be read"):
        OutputOptions(like=str(tmp_path / "no.nii.gz"))


def test_trained_folds(tmp_path):
    for fold in ("fold_0", "fold_3", "fold_all", "fold_4"):
        (tmp_path / fold).mkdir()
    with pytest.raises(InputError, match=r"found no fold with c\.pth, expected a trained model"):
        trained_folds(tmp_path, "c.pth")
    (tmp_path / "fold_all/c.pth").touch()
    assert trained_folds(tmp_path, "c.pth") == ("all",)
    for fold in ("fold_0", "fold_3"):
        (tmp_path / fold / "c.pth").touch()
    assert trained_folds(tmp_path, "c.pth") == (0, 3)


def test_a_part_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match="`part_id`: found 2, expected 0 to 1; count parts from 0"):
        ImPulSePredictor().predict_folder(tmp_path, tmp_path, num_parts=2, part_id=2)


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(
        InputError,
        match=r"found no dataset\.json, expected a folder of a trained model; check `model_training_output_dir`",
    ):
        ImPulSePredictor().initialize_from_trained_model_folder(str(tmp_path), (0,))
    (tmp_path / "dataset.json").touch()
    with pytest.raises(
        InputError,
        match=r"found no plans\.json, expected a folder of a trained model; check `model_training_output_dir`",
    ):
        ImPulSePredictor().initialize_from_trained_model_folder(str(tmp_path), (0,))


def test_a_fold_that_is_not_trained_is_named(tmp_path):
    for name in ("dataset.json", "plans.json"):
        (tmp_path / name).touch()
    message = (
        r"fold_3: found no checkpoint_best\.pth, expected a trained fold; train it, or choose other `use_folds` or"
    )
    with pytest.raises(InputError, match=message):
        ImPulSePredictor().initialize_from_trained_model_folder(str(tmp_path), (3,), "checkpoint_best.pth")


def test_a_lost_gpu_ends_the_run_and_what_was_predicted_is_written(tmp_path, monkeypatch):
    lost = RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be")
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.dataset_json, predictor.plans_manager = {"file_ending": ".txt"}, SimpleNamespace(plans={})
    monkeypatch.setattr("impulse_nnunet.nnunet.predictor.ensemble_of", lambda predictor: None)
    tried = []

    def predict(ensemble, case, outputs):
        tried.append(case)
        if case == "b":
            raise device_lost(case, lost)
        return lambda: (outputs.folder / f"{case}.txt").write_text("labels")

    monkeypatch.setattr(predictor, "prepare", lambda case, files: case)
    monkeypatch.setattr(predictor, "_predict_one", predict)
    with pytest.raises(CasesFailedError) as error:
        predictor.predict_cases({case: [] for case in "abcd"}, tmp_path)
    assert tried == ["a", "b"]
    assert (tmp_path / "a.txt").read_text() == "labels"
    lines = str(error.value).splitlines()
    assert lines[0] == "3 of 4 cases failed:"
    assert lines[1].startswith("  b: found a CUDA error after which this process cannot use the GPU (CUDA error: an")
    assert lines[2:] == ["  c: not predicted", "  d: not predicted"]
    entries = json.loads((tmp_path / "prediction.json").read_text())["cases"]
    assert {case: entry["state"] for case, entry in entries.items()} == {"a": "ok"} | dict.fromkeys("bcd", "failed")
    assert entries["b"]["reason"] == lines[1].strip()
