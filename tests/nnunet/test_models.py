import json
import os
import pickle

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.nnunet.check_model import as_table, check_archive_and_models, check_model
from impulse_nnunet.nnunet.install_model import install_model
from impulse_nnunet.nnunet.models import load_model
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.runtime.environment import ensure_variables
from tests.security.harmful import MODEL, Harmful, checkpoint_content, plans_content, write_model, zip_of

CHECKPOINT = "checkpoint_final.pth"


@pytest.fixture(autouse=True)
def _trainers_are_found(monkeypatch):
    monkeypatch.setenv("nnUNet_extTrainer", os.environ.get("nnUNet_extTrainer", ""))
    ensure_variables()


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "results")


def bad_rows(rows):
    return {row.subject: row.detail for row in rows if not row.ok}


def test_a_good_model_passes_and_is_loaded(model):
    rows = check_model(model, CHECKPOINT)
    assert bad_rows(rows) == {}
    assert [row.subject for row in rows] == ["plans and dataset.json", "fold_0", "fold_0, weights"]
    assert "fit ImPulSeNet (nnUNetTrainerImPulSe, 3d_impulse)" in as_table(rows)
    predictor = ImPulSePredictor(torch.device("cpu"))
    predictor.initialize_from_trained_model_folder(str(model), (0,))
    wanted = checkpoint_content()["network_weights"]
    for name, value in predictor.network.state_dict().items():
        assert torch.equal(value, wanted[name])


def test_a_checkpoint_that_would_run_code(tmp_path):
    marker = tmp_path / "marker"
    model = write_model(tmp_path, logging=Harmful(marker))
    assert "found code that runs when it is read" in bad_rows(check_model(model, CHECKPOINT))["fold_0"]
    with pytest.raises(InputError, match=r"found code that runs when it is read \(.*\), expected weights and numbers"):
        ImPulSePredictor(torch.device("cpu")).initialize_from_trained_model_folder(str(model), None)
    assert not marker.exists()


def test_plans_that_would_import_something(model, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    (tmp_path / "evil_package.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Reader: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for reader in ("evil_package.Reader", "os"):
        (model / "plans.json").write_text(json.dumps(plans_content(image_reader_writer=reader)))
        assert "image_reader_writer" in bad_rows(check_model(model, CHECKPOINT))["plans and dataset.json"]
        with pytest.raises(InputError, match=f"image_reader_writer: found '{reader}', expected a class of nnunetv2"):
            ImPulSePredictor(torch.device("cpu")).initialize_from_trained_model_folder(str(model), (0,))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainer_name": "os.system"}, "found a model of the trainer 'os.system'"),
        ({"trainer_name": "inspect"}, "found a model of the trainer 'inspect'"),  # a name in nnU-Net's trainer modules
        ({"trainer_name": "nnUNetTrainerOfNobody"}, "found a model of the trainer 'nnUNetTrainerOfNobody'"),
        ({"init_args": {"configuration": "2d"}}, "found the configuration '2d', expected 3d_impulse"),
        ({"init_args": None}, "found other content, expected a checkpoint of nnU-Net"),
        ({"network_weights": {}}, "found .*: none, a checkpoint that does not fit its plans"),
    ],
)
def test_a_checkpoint_of_something_else(tmp_path, changes, message):
    model = write_model(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        load_model(model, [0], CHECKPOINT)
    assert "fold_0, weights" in bad_rows(check_model(model, CHECKPOINT))


def test_weights_of_another_size_and_weights_that_are_no_numbers(tmp_path):
    weights = checkpoint_content()["network_weights"]
    name = "decoder.correction.last.bias"
    smaller = write_model(tmp_path / "a", network_weights=weights | {name: torch.zeros(2)})
    with pytest.raises(InputError, match=rf"{name}: \(2,\), a checkpoint that does not fit its plans, expected \(3,\)"):
        load_model(smaller, [0], CHECKPOINT)
    broken = write_model(tmp_path / "b", network_weights=weights | {name: torch.full((3,), float("nan"))})
    with pytest.raises(InputError, match=rf"{name}: NaN or infinite weights, expected finite numbers"):
        load_model(broken, [0], CHECKPOINT)


def test_plans_of_a_network_larger_than_any_memory(model):
    plans = plans_content()
    arguments = plans["configurations"]["3d_impulse"]["architecture"]["arch_kwargs"]
    arguments["features_per_stage"] = [200_000, 200_000]  # four terabytes
    (model / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(InputError, match="a checkpoint that does not fit its plans"):
        load_model(model, [0], CHECKPOINT)


def test_what_is_missing_is_named(tmp_path, model):
    rows = bad_rows(check_model(tmp_path / "nowhere", CHECKPOINT))
    assert "found no such file" in rows["plans and dataset.json"]
    assert "found no fold_*" in rows["folds"]
    (model / "fold_1").mkdir()
    assert "found no such file" in bad_rows(check_model(model, CHECKPOINT))["fold_1"]
    assert bad_rows(check_model(model, CHECKPOINT, ["0"])) == {}


def test_postprocessing_that_stock_nnunet_would_unpickle(model, tmp_path):
    from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation

    folder = model / "crossval_results_folds_0"
    folder.mkdir()
    path = folder / "postprocessing.pkl"
    path.write_bytes(pickle.dumps(([remove_all_but_largest_component_from_segmentation], [{"labels_or_regions": 1}])))
    assert bad_rows(check_model(model, CHECKPOINT)) == {}
    path.write_bytes(pickle.dumps(Harmful(tmp_path / "marker")))
    assert "found code" in bad_rows(check_model(model, CHECKPOINT))["crossval_results_folds_0/postprocessing.pkl"]
    assert not (tmp_path / "marker").exists()


def test_a_zip_file_is_checked_and_installed(model, tmp_path):
    archive = zip_of(tmp_path / "results", tmp_path / "model.zip")
    assert bad_rows(check_archive_and_models(archive, CHECKPOINT)) == {}
    rows, installed = install_model(archive, tmp_path / "new", CHECKPOINT)
    assert bad_rows(rows) == {}
    assert installed == [tmp_path / "new" / MODEL]
    for file in model.rglob("*"):
        if file.is_file():
            assert (installed[0] / file.relative_to(model)).read_bytes() == file.read_bytes()
    with pytest.raises(InputError, match="found a model that is there already, expected a new place; move it away"):
        install_model(archive, tmp_path / "new", CHECKPOINT)
    assert not list((tmp_path / "new").glob(".incomplete*"))


def test_nothing_is_installed_of_a_bad_model(tmp_path):
    write_model(tmp_path / "results", logging=Harmful(tmp_path / "marker"))
    archive = zip_of(tmp_path / "results", tmp_path / "model.zip")
    rows, installed = install_model(archive, tmp_path / "new", CHECKPOINT)
    assert installed == []
    assert any("found code that runs" in detail and str(archive) in detail for detail in bad_rows(rows).values())
    assert list((tmp_path / "new").iterdir()) == []
    assert not (tmp_path / "marker").exists()


def test_a_zip_file_without_a_model(tmp_path):
    (tmp_path / "a/Dataset007_Small").mkdir(parents=True)
    (tmp_path / "a/Dataset007_Small/x.txt").write_text("x")
    archive = zip_of(tmp_path / "a", tmp_path / "a.zip")
    assert "expected a model" in bad_rows(check_archive_and_models(archive, CHECKPOINT))["models"]
