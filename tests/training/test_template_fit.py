import numpy as np
import pytest
import torch

from impulse_nnunet.network import template
from impulse_nnunet.settings import RegionSettings, TemplateSettings
from impulse_nnunet.trainers.template_stage import template_dice
from impulse_nnunet.training import template_fit
from impulse_nnunet.training.batches import CaseStore
from impulse_nnunet.training.points import IGNORED
from impulse_nnunet.training.template_fit import TemplateFit, frequency_template, template_labels
from tests.support import MadeUpDataset, made_up_cases, settings_for

GRID = (6, 8, 4)


def store_of(segmentations, settings, ignore_label=None):
    cases = {}
    for index, labels in enumerate(segmentations):
        segmentation = np.asarray(labels, np.int16)
        image = np.ones((1, *segmentation.shape), np.float32)
        cases[f"case_{index}"] = (image, segmentation, {"spacing": [1.0, 1.0, 1.0]})
    return CaseStore(MadeUpDataset(cases), settings, ignore_label)


def test_frequencies_by_hand():
    settings = settings_for(template=TemplateSettings(smoothing=0.5))
    store = store_of([[[[1, 0]]], [[[1, 0]]], [[[0, 2]]]], settings)
    logits = frequency_template(store, (1, 1, 2), 3, settings, progress_bar=False)
    # first voxel: background once, 1 twice; second: background twice, 2 once; half a case more for each class
    expected = np.log(np.array([[1.5, 2.5], [2.5, 0.5], [0.5, 1.5]]) / 4.5)
    assert logits.shape == (3, 1, 1, 2)
    np.testing.assert_allclose(logits[:, 0, 0], expected, rtol=1e-5)


def test_unlabelled_voxels_do_not_count():
    settings = settings_for(template=TemplateSettings(smoothing=1.0))
    store = store_of([[[[1, 2]]], [[[1, 0]]]], settings, ignore_label=2)
    logits = frequency_template(store, (1, 1, 2), 2, settings, progress_bar=False)
    # first voxel: 1 twice; second: background once, the other case is silent; one case more for each class
    np.testing.assert_allclose(logits[:, 0, 0].exp(), [[1 / 4, 2 / 3], [3 / 4, 1 / 3]], rtol=1e-5)


def test_the_template_covers_the_region():
    settings = settings_for(region=RegionSettings(mode="two_pass", margin=0.0))
    segmentation = np.zeros((4, 6, 8), np.int16)
    segmentation[1:3, 2:5, 4:8] = np.arange(1, 25).reshape(2, 3, 4)
    store = store_of([segmentation], settings)
    labels = template_labels(store["case_0"], (2, 3, 4), settings, None)
    np.testing.assert_array_equal(labels, np.arange(1, 25).reshape(2, 3, 4))


def test_the_template_covers_the_image_in_one_pass():
    settings = settings_for(region=RegionSettings(mode="whole"))
    segmentation = np.arange(24).reshape(2, 3, 4)
    store = store_of([segmentation], settings, ignore_label=23)
    labels = template_labels(store["case_0"], (2, 3, 4), settings, 23)
    assert labels[1, 2, 3] == IGNORED
    np.testing.assert_array_equal(labels.ravel()[:-1], np.arange(23))


@pytest.fixture
def _small_generator(monkeypatch):
    monkeypatch.setattr(template, "LATENT_SIZE", 16)
    monkeypatch.setattr(template, "CHANNELS", (32,) * 6)


def fit_in(folder, iterations, store=None):
    settings = settings_for(template=TemplateSettings(mode="learned", iterations=iterations, learning_rate=1e-2))
    store = store or CaseStore(MadeUpDataset(made_up_cases(2)), settings, None)
    lines = []
    return TemplateFit(
        cases=store,
        grid=GRID,
        number_of_classes=3,
        settings=settings,
        device=torch.device("cpu"),
        folder=folder,
        log=lines.append,
    ), lines


@pytest.mark.usefixtures("_small_generator")
def test_the_loss_falls_and_the_template_learns_a_single_case_by_heart(tmp_path):
    segmentation = np.zeros((12, 16, 8), np.int16)
    segmentation[:6], segmentation[6:, :8] = 1, 2
    fit, _ = fit_in(tmp_path, 60, store_of([segmentation], settings_for()))
    logits = fit.run(resume=False, progress_bar=False)
    assert logits.shape == (3, *GRID)
    assert len(fit.losses) == 60
    assert np.mean(fit.losses[-5:]) < 0.4 * np.mean(fit.losses[:5])
    # the last enlargement follows the last convolution, so edges stay a little soft
    assert template_dice(logits, fit.cases, fit.settings) > 0.85


@pytest.mark.usefixtures("_small_generator")
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole, _ = fit_in(tmp_path / "whole", 8)
    expected = whole.run(resume=False, progress_bar=False)

    monkeypatch.setattr(template_fit, "CHECKPOINT_SECONDS", -1.0)  # after each step
    broken, _ = fit_in(tmp_path / "broken", 8)
    step = TemplateFit._step

    def killed_at_step_5(self, generator, optimiser, number, progress):
        if number == 5:
            raise KeyboardInterrupt
        return step(self, generator, optimiser, number, progress)

    with monkeypatch.context() as patch:
        patch.setattr(TemplateFit, "_step", killed_at_step_5)
        with pytest.raises(KeyboardInterrupt):
            broken.run(resume=False, progress_bar=False)
    resumed, lines = fit_in(tmp_path / "broken", 8)
    logits = resumed.run(resume=True, progress_bar=False)
    assert lines == ["Template pre-training goes on at step 5"]
    assert resumed.losses == whole.losses
    assert torch.equal(logits, expected)


@pytest.mark.usefixtures("_small_generator")
def test_without_resume_an_old_checkpoint_is_left_alone(tmp_path):
    fit_in(tmp_path, 3)[0].run(resume=False, progress_bar=False)
    again, lines = fit_in(tmp_path, 3)
    again.run(resume=False, progress_bar=False)
    assert lines == []
    assert len(again.losses) == 3


@pytest.mark.usefixtures("_small_generator")
def test_a_case_without_known_voxels_on_the_grid_does_not_spoil_the_template(tmp_path):
    segmentation = np.full((30, 40, 20), 2)
    segmentation[0] = 1  # one annotated slice, between the template's slices
    settings = settings_for(template=TemplateSettings(mode="learned", iterations=3))
    fit, _ = fit_in(tmp_path, 3, store_of([segmentation], settings, ignore_label=2))
    assert torch.isfinite(fit.run(resume=False, progress_bar=False)).all()
    assert np.isfinite(fit.losses).all()
