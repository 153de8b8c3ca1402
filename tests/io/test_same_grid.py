from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from scipy.spatial.transform import Rotation

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.folder import CaseFiles, evaluate_files
from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.io.affines import largest_offset_mm
from impulse_nnunet.io.grid import read_file_grid
from impulse_nnunet.io.images import RawCase, read_case, read_masks
from impulse_nnunet.io.label_scheme import LabelScheme
from impulse_nnunet.io.same_grid import check_files_on_same_grid, check_same_grid, is_same_grid
from tests.evaluation.image_files import save

LABELS = np.zeros((3, 4, 6), np.uint8)
LABELS[1, 1:3, 2:4] = 1
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
PLACE = {"spacing": (2.5, 0.7, 0.8), "origin": (-11.5, 20.25, 3.5), "direction": TURN}


def check(found, expected):
    check_same_grid(found, expected, "mask.nii.gz", "ct.nii.gz")


@pytest.fixture
def reference(tmp_path):
    return read_file_grid(save(LABELS, tmp_path / "ct.nii.gz", **PLACE))


def moved(tmp_path, labels=LABELS, **changes):
    return read_file_grid(save(labels, tmp_path / "mask.nii.gz", **(PLACE | changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"spacing": (2.5002, 0.7, 0.8)},
        {"origin": (-11.53, 20.28, 3.5)},
        {"direction": TURN @ np.array([[1, -1e-4, 0], [1e-4, 1, 0], [0, 0, 1]])},
    ],
)
def test_rounding_is_no_other_grid(tmp_path, reference, changes):
    other = moved(tmp_path, **changes)
    check(other, reference)
    assert is_same_grid(other, reference)


@pytest.mark.parametrize(
    ("changes", "found", "expected"),
    [
        ({"labels": LABELS[:2]}, r"shape \(2, 4, 6\)", r"\(3, 4, 6\)"),
        ({"spacing": (2.5, 0.8, 0.7)}, r"spacing \(2.5, 0.8, 0.7\) mm", r"\(2.5, 0.7, 0.8\) mm"),
        (
            {"origin": (-11.5, 20.25, 103.54)},
            r"origin \(-11.5, 20.25, 103.54\) mm \(voxels up to 100 mm off\)",
            r"origin \(-11.5, 20.25, 3.5\) mm",
        ),
        (
            {"direction": np.eye(3)},
            r"direction \(1, 0, 0, 0, 1, 0, 0, 0, 1\)",
            r"direction \(0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1\)",
        ),
        # a flipped image covers the same box from its other corner
        ({"direction": TURN @ np.diag([-1, -1, 1]), "origin": (1, 2, 3)}, "direction", "direction"),
    ],
)
def test_another_grid_is_named(tmp_path, reference, changes, found, expected):
    other = moved(tmp_path, **changes)
    message = f"mask.nii.gz: found {found}.*, expected {expected}.* as in ct.nii.gz; correct the header or resample it"
    with pytest.raises(InputError, match=message):
        check(other, reference)
    assert not is_same_grid(other, reference)


def test_what_differs_can_be_seen_in_the_message(tmp_path):
    # 0.4 mm, more than half of 0.7 mm, far from the world's origin
    one, other = (
        read_file_grid(save(LABELS, tmp_path / f"{x}.nii", origin=(x, 0, 0), spacing=(1, 0.7, 0.7)))
        for x in (-1152.42, -1152.02)
    )
    with pytest.raises(InputError, match=r"found origin \(-1152.02, 0, 0\) mm .*, expected origin \(-1152.42, 0, 0\)"):
        check(other, one)


def test_a_spacing_that_drifts_apart_over_the_image(tmp_path):
    # 6 in 10000 is less than the 1 in 1000 that rounding may do, but 1000 voxels later it is 0.6 voxels
    long = np.zeros((1, 1, 1000), np.uint8)
    one, other = (
        read_file_grid(save(long, tmp_path / f"{s}.nii", spacing=(1, 1, s), direction=np.eye(3))) for s in (1, 1.0006)
    )
    with pytest.raises(InputError, match=r"found spacing \(1, 1, 1.0006\) mm, .*expected spacing \(1, 1, 1\) mm"):
        check(other, one)


def test_the_smallest_spacing_counts_along_every_axis(tmp_path, reference):
    # labels 1 mm off along slices of 2.5 mm: less than half a slice, more than half of 0.7 mm
    with pytest.raises(InputError, match="voxels up to 1 mm off"):
        check(moved(tmp_path, origin=(-11.5, 20.25, 4.5)), reference)


def test_a_quaternion_near_a_half_turn_read_by_two_libraries(tmp_path):
    """NIfTI keeps three of a quaternion's four numbers, as float32: near 180 degrees the fourth is rounding error.

    nibabel takes its root, ITK takes 0; so a CT that has a qform only and the label map that ITK writes for it differ.
    """
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("z", np.pi - 5e-4).as_matrix() @ np.diag([0.7, 0.7, 1])
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), None)
    image.set_qform(affine, 1)
    image.set_sform(None, 0)
    nibabel.save(image, tmp_path / "ct.nii")
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "ct.nii")), str(tmp_path / "labels.nii"))
    one, other = (replace(read_file_grid(tmp_path / name), size=(256, 256, 256)) for name in ("ct.nii", "labels.nii"))
    assert largest_offset_mm(one.to_world, other.to_world, one.shape) > 0.2 * 0.7  # of a voxel: 0.1 would refuse it
    check(other, one)


# --- one rule in every room ------------------------------------------------------------------------------------------


def in_preprocessing(image, labels):
    read_case(NibabelIOWithReorient(), "a", [image, image.replace("_0000", "_0001")], 2, labels, [0, 1])


def beside_the_channels(image, labels):
    reader = NibabelIOWithReorient()
    voxels, properties = reader.read_images((image,))
    read_masks(reader, [labels], RawCase(voxels, None, properties))


def in_evaluation(image, labels):
    evaluate_files(
        CaseFiles(case="a", reference=image, prediction=labels, trees={}), LabelScheme({1: "a"}), MetricSettings()
    )


ROOMS = [
    lambda image, labels: in_preprocessing(str(image), str(labels)),
    lambda image, labels: beside_the_channels(str(image), str(labels)),
    in_evaluation,
    lambda image, labels: check_files_on_same_grid(labels, image),
]


@pytest.mark.parametrize("room", ROOMS, ids=["preprocessing", "masks", "evaluation", "lungs"])
@pytest.mark.parametrize(("shift_mm", "passes"), [(0.34, True), (0.36, False)])  # half of 0.7 mm is 0.35 mm
def test_every_room_has_the_same_tolerance(tmp_path, room, shift_mm, passes):
    image = save(LABELS, tmp_path / "a_0000.nii.gz", spacing=(2.5, 0.7, 0.8))
    save(LABELS, tmp_path / "a_0001.nii.gz", spacing=(2.5, 0.7, 0.8))
    labels = save(LABELS, tmp_path / "a.nii.gz", spacing=(2.5, 0.7, 0.8), origin=(0, 0, shift_mm))
    if passes:
        room(image, labels)
        return
    with pytest.raises(InputError, match=r"a\.nii\.gz: found origin .* \(voxels up to 0.36 mm off\), expected origin"):
        room(image, labels)


def test_the_place_counts_not_the_order_in_which_voxels_are_stored(tmp_path):
    """The reader turns both to one orientation: the same voxels at the same places, though the files differ."""
    voxels = np.arange(120, dtype=np.float32).reshape(4, 5, 6) + 1
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "a_0000.nii.gz")
    turned = np.diag([-1.0, 1, 1, 1])
    turned[0, 3] = 3  # the last voxel first
    nibabel.save(nibabel.Nifti1Image(voxels[::-1], turned), tmp_path / "a_0001.nii.gz")
    files = [str(tmp_path / f"a_000{channel}.nii.gz") for channel in range(2)]
    images = read_case(NibabelIOWithReorient(), "a", files, 2).images
    np.testing.assert_array_equal(images[0], images[1])
