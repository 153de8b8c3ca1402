import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from scipy.spatial.transform import Rotation

from impulse_nnunet.io.affines import angle_degrees, nearest_axes, nearest_rotation
from impulse_nnunet.io.grid import reader_grid
from impulse_nnunet.io.images import read_case, read_masks
from impulse_nnunet.io.upright import OWN, own_grid, upright_grid

SIZE = (20, 24, 16)  # x, y, z
SPACING = (1.0, 1.5, 2.0)
NIFTI_READERS = [NibabelIO, NibabelIOWithReorient, SimpleITKIO, SimpleITKIOWithReorient]
TURNED = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def written(folder, direction, reader, values):
    """An image, a channel and a label map; ``values`` of ITK's world positions (n, 3)."""
    image = sitk.Image(list(SIZE), sitk.sitkFloat32)
    image.SetSpacing(SPACING)
    image.SetOrigin((-10.0, 3.0, 7.0))
    image.SetDirection(np.asarray(direction).ravel().tolist())
    index = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1).reshape(-1, 3)
    world = index * SPACING @ np.asarray(direction).T + image.GetOrigin()
    ending = ".nii.gz" if "Nibabel" in reader.__name__ else ".nrrd"
    files = []
    for name, value in zip(("a_0000", "a"), values(world), strict=True):
        array = value.reshape(SIZE).T
        copy = sitk.GetImageFromArray(np.ascontiguousarray(array))
        copy.CopyInformation(image)
        sitk.WriteImage(copy, str(folder / f"{name}{ending}"))
        files.append(str(folder / f"{name}{ending}"))
    return files, world.mean(0)


def slope_and_sides(world):
    """A linear intensity, and label 1 or 2 by the side of the middle along x."""
    middle = world.mean(0)
    return (world @ [3.0, -2.0, 5.0]).astype(np.float32), np.where(world[:, 0] > middle[0], 1, 2).astype(np.uint8)


@pytest.mark.parametrize("reader", NIFTI_READERS)
@pytest.mark.parametrize("turned", [np.eye(3), TURNED], ids=["plain", "turned"])
def test_an_oblique_image_comes_upright_with_every_value_in_its_place(tmp_path, reader, turned):
    direction = turned @ Rotation.from_euler("xyz", [12, -8, 25], degrees=True).as_matrix()
    files, middle = written(tmp_path, direction, reader, slope_and_sides)
    case = read_case(reader(), "a", files[:1], 1, files[1], [0, 1, 2])
    shape = case.images.shape[1:]
    grid = reader_grid(shape, case.properties)
    np.testing.assert_allclose(np.abs(grid.direction).round(6), np.abs(nearest_axes(grid.direction)))
    np.testing.assert_allclose(sorted(grid.spacing_mm), sorted(SPACING), rtol=1e-5)
    np.testing.assert_allclose(case.properties["spacing"], grid.spacing_mm[::-1])
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    world = (grid.to_world @ np.c_[index, np.ones(len(index))].T).T[:, :3]
    inside = np.all(np.abs((world - middle) @ direction) < (np.array(SIZE) / 2 - 1) * SPACING, axis=1)
    assert inside.sum() > 0.5 * np.prod(SIZE)
    # a linear function is what linear interpolation gives exactly
    np.testing.assert_allclose(case.images[0].reshape(-1)[inside], (world @ [3.0, -2.0, 5.0])[inside], atol=2e-3)
    far = inside & (np.abs(world[:, 0] - middle[0]) > 2)  # the nearest voxel lies within half its diagonal, 1.4 mm
    expected = np.where(world[:, 0] > middle[0], 1, 2)
    np.testing.assert_array_equal(case.segmentation[0].reshape(-1)[far], expected[far])


def test_the_whole_image_is_covered_and_what_surrounds_it_is_dark(tmp_path):
    direction = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    files, middle = written(tmp_path, direction, NibabelIOWithReorient, slope_and_sides)
    case = read_case(NibabelIOWithReorient(), "a", files[:1], 1)
    # edges 20, 36 and 32 mm: 20 cos 30 + 36 sin 30 = 35.3 -> 36 voxels of 1 mm along x, 20 sin 30 + 36 cos 30 = 41.2 ->
    # 28 of 1.5 mm along y, 16 along z
    assert case.images.shape == (1, 16, 28, 36)
    assert case.images[0, 8, 0, 0] == case.images.min()
    grid = reader_grid((16, 28, 36), case.properties)
    np.testing.assert_allclose((grid.to_world @ (7.5, 13.5, 17.5, 1))[:3], middle, atol=1e-4)


def test_the_images_own_grid_is_kept(tmp_path):
    direction = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    files, _ = written(tmp_path, direction, NibabelIOWithReorient, slope_and_sides)
    case = read_case(NibabelIOWithReorient(), "a", files[:1], 1)
    array, properties = NibabelIOWithReorient().read_images(files[:1])
    grid, own = own_grid(case.properties)
    assert grid.shape == array.shape[1:]
    np.testing.assert_allclose(grid.to_world, reader_grid(array.shape[1:], properties).to_world, atol=1e-5)
    np.testing.assert_allclose(own["spacing"], properties["spacing"])


def test_masks_are_turned_as_the_image_is(tmp_path):
    direction = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    files, _ = written(tmp_path, direction, NibabelIOWithReorient, slope_and_sides)
    case = read_case(NibabelIOWithReorient(), "a", files[:1], 1, files[1], [0, 1, 2])
    np.testing.assert_array_equal(read_masks(NibabelIOWithReorient(), files[1:], case), case.segmentation[0] > 0)


@pytest.mark.parametrize("degrees", [0, 4.9, 90, 94.9])
def test_nearly_upright_images_stay_as_they_are(tmp_path, degrees):
    direction = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    files, _ = written(tmp_path, direction, NibabelIOWithReorient, slope_and_sides)
    case = read_case(NibabelIOWithReorient(), "a", files[:1], 1)
    assert OWN not in case.properties
    np.testing.assert_array_equal(case.images, NibabelIOWithReorient().read_images(files[:1])[0])


def test_arrays_without_a_place_have_no_upright_grid():
    assert upright_grid((4, 5, 6), {"spacing": [1, 1, 1]}) is None


@pytest.mark.parametrize("degrees", [1.0, 25.0, 44.0])
def test_angles_are_those_of_scipy(degrees):
    turn = Rotation.from_euler("y", degrees, degrees=True)
    assert angle_degrees(np.eye(3), turn.as_matrix()) == pytest.approx(degrees)
    np.testing.assert_array_equal(nearest_axes(TURNED @ turn.as_matrix()), TURNED)


def test_the_nearest_rotation_of_a_sheared_matrix_shares_the_shear():
    # polar decomposition of [[1, s], [0, 1]]: a turn by atan(s / 2)
    angle = np.arctan(0.01 / 2)
    expected = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    np.testing.assert_allclose(nearest_rotation(np.array([[1, 0.01], [0, 1]])), expected, atol=1e-12)


def test_nibabel_names_the_same_axes():
    direction = TURNED @ Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = direction
    columns = nibabel.io_orientation(affine)
    axes = nearest_axes(direction)
    for column, (row, sign) in enumerate(columns.astype(int)):
        assert axes[row, column] == sign
