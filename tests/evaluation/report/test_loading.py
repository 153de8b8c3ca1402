import re

import numpy as np
import pytest
import SimpleITK as sitk

from impulse_nnunet.evaluation.report.loading import NoPictureError, load_case
from impulse_nnunet.evaluation.report.summaries import read_evaluations
from tests.evaluation.report import folders


def results_of(folder, case="c0"):
    (method,) = read_evaluations([str(folder)])
    return {method.name: method.cases[case]}, method.settings


def padded_by_margin(array):
    """The foreground is z 4-20, y 6-22, x 4-28; 8 mm are 3, 5 and 4 voxels, as far as there are so many."""
    return array[1:23, 1:27, 0:32]


def test_the_crop_keeps_a_margin_and_its_place(tmp_path):
    volumes = load_case(*results_of(folders.write_method(tmp_path)))
    np.testing.assert_array_equal(volumes.reference, padded_by_margin(folders.reference_labels()))
    np.testing.assert_array_equal(volumes.predictions["ours"], padded_by_margin(folders.predicted_labels()))
    assert volumes.spacing_mm == pytest.approx(folders.SPACING_MM)
    # the first voxel is (1, 1, 0): 10 + 3, -20 + 1.5, 5
    assert volumes.origin_mm == pytest.approx((13.0, -18.5, 5.0))
    assert volumes.notes == []


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "PIR", "SAL"])
def test_any_orientation_is_turned_to_lps(tmp_path, orientation):
    folder = folders.write_method(tmp_path, dices=(0.5,))
    for path, array in (
        (tmp_path / "gt/c0.nii.gz", folders.reference_labels()),
        (folder / "c0.nii.gz", folders.predicted_labels()),
        (tmp_path / "airway/c0.nii.gz", folders.tree_mask()),
    ):
        folders.write_volume(array, path, orientation)
    assert sitk.ReadImage(str(path)).GetDirection() != (1, 0, 0, 0, 1, 0, 0, 0, 1)
    volumes = load_case(*results_of(folder))
    np.testing.assert_array_equal(volumes.reference, padded_by_margin(folders.reference_labels()))
    np.testing.assert_array_equal(volumes.predictions["ours"], padded_by_margin(folders.predicted_labels()))
    np.testing.assert_array_equal(volumes.trees["airway"], padded_by_margin(folders.tree_mask()) > 0)
    assert volumes.spacing_mm == pytest.approx(folders.SPACING_MM)
    assert volumes.origin_mm == pytest.approx((13.0, -18.5, 5.0))


def test_intruding_voxels_by_hand(tmp_path):
    """Label 1 was predicted at z = 10 and 11 of label 2, where the rod has 2 x 2 voxels each."""
    volumes = load_case(*results_of(folders.write_method(tmp_path)))
    expected = np.zeros(folders.SHAPE, bool)
    expected[10:12, 12:14, 8:10] = True
    np.testing.assert_array_equal(volumes.intruding("ours", "airway"), padded_by_margin(expected))
    np.testing.assert_array_equal(volumes.any_intruding("ours"), padded_by_margin(expected))
    assert volumes.wrong("ours").sum() == 2 * 16 * 10


def test_trees_that_carry_labels_belong_to_those(tmp_path):
    folder = folders.write_method(tmp_path, dices=(0.5,), settings={"tree_labels": True})
    tree = folders.tree_mask() * 2  # all of it belongs to label 2, also where the reference has label 1
    folders.write_volume(tree, tmp_path / "airway/c0.nii.gz")
    volumes = load_case(*results_of(folder))
    # z = 5 to 9 lies in predicted label 2, the 9 slices from 10 to 18 in label 1
    assert volumes.intruding("ours", "airway").sum() == 9 * 4


def test_intersegmental_veins_do_not_intrude(tmp_path):
    volumes = load_case(*results_of(folders.write_method(tmp_path, trees=("interseg",))))
    assert volumes.any_tree().sum() == 14 * 4
    assert not volumes.any_intruding("ours").any()
    assert volumes.own == {}


def test_ignored_voxels_are_empty_everywhere(tmp_path):
    folder = folders.write_method(tmp_path, dices=(0.5,), settings={"ignore_label": 4})
    volumes = load_case(*results_of(folder))
    assert set(np.unique(volumes.reference)) == {0, 1, 2, 3}
    assert set(np.unique(volumes.predictions["ours"])) == {0, 1, 2, 3}


def test_a_prediction_that_is_gone_becomes_a_note(tmp_path):
    results = {}
    for name in ("ours", "theirs"):
        results |= results_of(folders.write_method(tmp_path, name, (0.5,)))[0]
    (tmp_path / "theirs/c0.nii.gz").unlink()
    volumes = load_case(results, {})
    assert list(volumes.predictions) == ["ours"]
    assert "theirs" in volumes.notes[0]
    assert "no such file" in volumes.notes[0]


@pytest.mark.parametrize("gone", ["gt/c0.nii.gz", "ours/c0.nii.gz"])
def test_without_reference_or_any_prediction_there_are_no_pictures(tmp_path, gone):
    results, settings = results_of(folders.write_method(tmp_path, dices=(0.5,)))
    (tmp_path / gone).unlink()
    with pytest.raises(NoPictureError, match="no such file"):
        load_case(results, settings)


def test_another_grid_and_an_unreadable_tree_become_notes(tmp_path):
    folder = folders.write_method(tmp_path, dices=(0.5,), trees=("airway", "vein"))
    folders.write_volume(folders.tree_mask()[1:], tmp_path / "airway/c0.nii.gz")
    (tmp_path / "vein/c0.nii.gz").write_bytes(b"nothing")
    volumes = load_case(*results_of(folder))
    assert volumes.trees == {}
    assert re.search(r"airway.*shape \(23, 28, 32\), expected \(24, 28, 32\)", volumes.notes[0])
    assert "vein" in volumes.notes[1]


def image_of(folder, image, name="c0_0000.nii.gz"):
    (folder / "images").mkdir(exist_ok=True)
    sitk.WriteImage(image, str(folder / "images" / name))
    return folder / "images"


def grey_image(shape=folders.SHAPE, spacing_mm=folders.SPACING_MM):
    """A value that grows by one for each mm to the head."""
    z = folders.ORIGIN_MM[0] + np.arange(shape[0]) * spacing_mm[0]
    image = sitk.GetImageFromArray(np.broadcast_to(z[:, None, None], shape).astype(np.float32))
    image.SetSpacing(spacing_mm[::-1])
    image.SetOrigin(folders.ORIGIN_MM[::-1])
    return image


def test_an_image_behind_the_slices(tmp_path):
    results, settings = results_of(folders.write_method(tmp_path))
    volumes = load_case(results, settings, image_of(tmp_path, grey_image()))
    np.testing.assert_allclose(volumes.image[:, 0, 0], 13 + 3 * np.arange(22))


def test_an_image_on_another_grid_is_resampled(tmp_path):
    results, settings = results_of(folders.write_method(tmp_path))
    finer = grey_image((96, 56, 64), (0.75, 0.75, 1.0))
    volumes = load_case(results, settings, image_of(tmp_path, finer))
    assert volumes.image.shape == volumes.reference.shape
    np.testing.assert_allclose(volumes.image[:, 5, 5], 13 + 3 * np.arange(22), atol=1e-3)


def test_images_that_are_missing_or_unreadable_become_notes(tmp_path):
    results, settings = results_of(folders.write_method(tmp_path))
    folder = image_of(tmp_path, grey_image(), "c0_0000.mha")
    (folder / "c0_0000.nii.gz").write_bytes(b"nothing")
    volumes = load_case(results, settings, folder)
    assert volumes.image is None
    assert "2 files c0_0000.*" in volumes.notes[0]
    (folder / "c0_0000.mha").unlink()
    assert "drawn without this image" in load_case(results, settings, folder).notes[0]


def test_grey_range():
    from impulse_nnunet.evaluation.report.volumes import CaseVolumes

    def of(image):
        return CaseVolumes(
            spacing_mm=(1, 1, 1),
            origin_mm=(0, 0, 0),
            reference=np.zeros((1, 1, 101), int),
            predictions={},
            trees={},
            own={},
            image=image,
            notes=[],
        ).grey_range

    assert of(np.linspace(-1000, 0, 101)[None, None]) == (-1350.0, 150.0)  # a chest CT
    assert of(np.arange(101.0)[None, None]) == (1.0, 99.0)
