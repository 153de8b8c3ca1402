import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.prediction_file import findings_of
from impulse_nnunet.lungs.models import read_model
from impulse_nnunet.lungs.prediction import PredictionOptions, predict_unseen
from tests.lungs import made_up
from tests.lungs.test_models import model_of
from tests.security.harmful import Harmful

MODEL = Path(__file__).resolve().parents[1] / "data" / "model_of_53b95cd"
CPU = PredictionOptions("cpu")


@pytest.fixture
def model(nnunet_folders):
    return model_of(nnunet_folders)


@pytest.fixture
def images(nnunet_folders):
    return {"new": made_up.write(nnunet_folders / "ct" / "new.nii.gz", made_up.segments())}


def test_nnunets_own_failure_is_one_line_with_the_log(model, images, tmp_path):
    # the model's checkpoints are empty
    with pytest.raises(InputError, match=r"Dataset007_BAV/.*: found a prediction that failed \(.+prediction\.log"):
        predict_unseen(model, images, tmp_path / "out", CPU)
    assert "Traceback" in (tmp_path / "out" / "prediction.log").read_text()
    assert not list((tmp_path / "out").glob(".images_*"))


def test_predictions_of_another_model_are_dropped_and_those_of_this_one_kept(model, images, tmp_path):
    output = tmp_path / "out"
    done = made_up.write(output / "new.nii.gz", made_up.bav())
    with pytest.raises(InputError, match="found a prediction that failed"):
        predict_unseen(model, images, output, CPU)
    assert not done.is_file()  # nothing said whose it was
    made_up.write(done, made_up.bav())
    assert predict_unseen(model, images, output, CPU) == {"new": done}  # the record is this model's now
    record = json.loads((output / "records" / "new.json").read_text())
    assert record["state"] == "done"
    os.utime(images["new"], (1, 1))
    predict_unseen(model, images, output, CPU)  # a touched image is the same image
    made_up.write(images["new"], made_up.bav())
    with pytest.raises(InputError, match="found a prediction that failed"):
        predict_unseen(model, images, output, CPU)
    assert not done.is_file()  # another image under the same name
    made_up.write(done, made_up.bav())
    torch.save({"other": 1}, model.folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(InputError, match="found a prediction that failed"):
        predict_unseen(model, images, output, CPU)
    assert not done.is_file()


def test_a_checkpoint_that_would_run_code_never_reaches_nnunet(model, images, tmp_path):
    marker = tmp_path / "marker"
    torch.save({"weights": Harmful(marker)}, model.folder / "fold_1" / "checkpoint_final.pth")
    with pytest.raises(InputError, match=r"fold_1/checkpoint_final\.pth: found code that runs when it is read"):
        predict_unseen(model, images, tmp_path / "out", CPU)
    assert not marker.exists()


def test_what_our_models_note_of_a_case_stays_beside_its_masks(nnunet_folders, images, tmp_path):
    folder = nnunet_folders / "nnUNet_results" / "Dataset007_BAV" / "nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse"
    shutil.copytree(MODEL, folder)
    predict_unseen(read_model(folder, "bav", ("0",), "checkpoint_final.pth"), images, tmp_path / "out", CPU)
    assert (tmp_path / "out" / "new.nii.gz").is_file()
    noted = json.loads((tmp_path / "out" / "prediction.json").read_text())["cases"]["new"]
    assert noted["state"] in ("ok", "warned")
    assert findings_of(tmp_path / "out").keys() == {"new"}
