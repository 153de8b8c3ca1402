"""What ``reconstruct`` leaves of each case; with trained models of both stages: end_to_end/test_two_stages.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from impulse_nnunet.errors import CasesFailedError
from impulse_nnunet.laterality.judgement import learn
from impulse_nnunet.lungs import reconstruct as module
from impulse_nnunet.lungs.reconstruct import ReconstructOptions, reconstruct
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.preprocessing.survey import asymmetries_of
from impulse_nnunet.runtime.findings import Finding
from tests.laterality.bodies import body
from tests.laterality.test_cases import survey_of, write_model_of
from tests.support import write_nifti


def test_cases_of_both_stages_end_in_one_file(tmp_path, monkeypatch):
    model = write_model_of(tmp_path / "results", learn(asymmetries_of(survey_of(tmp_path))))
    images = tmp_path / "in"
    images.mkdir()
    for name, turn in (("good", 1), ("turned", -1)):
        write_nifti(images / f"{name}_0000.nii.gz", body(50)[..., ::turn].astype(np.float32), (3.0, 3.0, 3.0))
    (images / "broken_0000.nii.gz").write_bytes(b"no image")
    (images / "left.mha").touch()
    mask = write_nifti(tmp_path / "mask.nii.gz", np.ones((30, 32, 40), np.float32), (3.0, 3.0, 3.0))

    def channels(kind, cts, *others):
        return {case: [str(ct), mask] for case, ct in cts.items()}, {}

    content = json.loads((model / "dataset.json").read_text()) | {"file_ending": ".nii.gz"}
    monkeypatch.setattr(module, "_segment_stage", lambda options: (content, "made up"))
    monkeypatch.setattr(module, "_shape_stages", lambda *arguments: [])
    monkeypatch.setattr(module, "_write_all_channels", channels)
    monkeypatch.setattr(module, "_noted", lambda stages, work: {"good": [Finding("mirrored", "bav: looks odd")]})
    output = tmp_path / "out"
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    options = ReconstructOptions(segment_model=model, folds=(0,), progress=False)

    with pytest.raises(CasesFailedError, match=r"1 of 3 cases failed:\n.*broken_0000\.nii\.gz"):
        reconstruct(images, output, predictor, options)
    record = json.loads((output / "prediction.json").read_text())
    cases = record["cases"]
    assert {case: entry["state"] for case, entry in cases.items()} == {
        "broken": "failed",
        "good": "warned",
        "turned": "warned",
    }
    assert [found["text"] for found in cases["good"]["findings"]] == ["bav: looks odd"]
    assert cases["turned"]["findings"][0]["text"].startswith("the image looks mirrored")
    assert [Path(file).name for file in record["left_out"]] == ["left.mha"]
    run = record["runs"][cases["good"]["run"]]
    assert (run["command"], run["input"]) == ("impulse_nnunet reconstruct", str(images))
    assert set(run["settings"]["models"]) == {"segments"}

    (images / "broken_0000.nii.gz").unlink()
    assert reconstruct(images, output, predictor, options) == []
    kept = json.loads((output / "prediction.json").read_text())["cases"]
    assert kept == {case: entry for case, entry in cases.items() if case != "broken"}
