"""The oracle itself, by cases that are worked out by hand, and files that it must find wrong."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from tests.faults.mutations import Recipe, write
from tests.faults.oracle import REFUSED, disagreement, expected_place, itk_place

PLAIN = Recipe()  # 8 mm, RAS, first voxel at (-40, 17.5, 120)


def test_a_plain_file():
    # RAS to LPS: x and y change their signs
    expected = [[-8, 0, 0, 40], [0, -8, 0, -17.5], [0, 0, 8, 120]]
    np.testing.assert_allclose(expected_place(PLAIN), expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"codes": (0, 0)}, REFUSED),
        ({"shear": 3.0}, REFUSED),
        ({"shear": 0.1}, REFUSED),  # a cosine of 0.0125
        ({"lost_scale": True, "codes": (1, 0)}, REFUSED),
        ({"shear": 0.016, "angles": (44.9, 44.9, 10.0)}, REFUSED),  # an axis of 7.99 mm beside 8 in pixdim
        ({"file": "cut"}, None),
        ({"content": "nan"}, None),
    ],
)
def test_files_that_must_be_refused_or_are_unknown(change, expected):
    assert expected_place(replace(PLAIN, **change)) == expected


@pytest.mark.parametrize(("units", "spacing"), [(1, 8000), (3, 0.008), (0, 8)])
def test_units(units, spacing):
    assert expected_place(replace(PLAIN, units=units))[2, 2] == pytest.approx(spacing)


def test_a_lost_scale_and_a_little_shear():
    np.testing.assert_allclose(expected_place(replace(PLAIN, lost_scale=True)), expected_place(PLAIN))
    assert expected_place(replace(PLAIN, shear=0.016))[0, 1] == pytest.approx(-0.016)


def test_labels_at_another_place_are_found_out(tmp_path):
    image = write(PLAIN, tmp_path)
    np.testing.assert_allclose(itk_place(image), expected_place(PLAIN), atol=1e-4)
    assert disagreement(PLAIN, image) == ""
    moved = tmp_path / "moved.nii.gz"
    affine = nibabel.load(image).affine
    affine[0, 3] += 1
    nibabel.save(nibabel.Nifti1Image(np.zeros(PLAIN.shape, np.uint8), affine), moved)
    assert "labels at" in disagreement(PLAIN, moved)
    assert disagreement(replace(PLAIN, codes=(0, 0)), image).endswith("labels for a file that must be refused")
    assert disagreement(PLAIN, None).endswith("refused, though its place is known")
