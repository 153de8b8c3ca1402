import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import FileGrid, read_file_grid, reader_grid
from tests.inference.test_world import MARKED, OBLIQUE, SIZE, SPACING, TURNED, marked_image


def grid_of(origin=(0.0, 0.0, 0.0), direction=None):
    direction = np.eye(3) if direction is None else direction
    return FileGrid(size=SIZE, spacing_mm=np.array(SPACING), origin=np.asarray(origin), direction=direction)


def test_indices_reach_the_world_as_simpleitk_says(tmp_path):
    image = marked_image(OBLIQUE)
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    to_world = read_file_grid(tmp_path / "a.mha").to_world
    for x, y, z in [(0, 0, 0), MARKED, (4, 5, 6)]:
        expected = image.TransformIndexToPhysicalPoint((x, y, z))
        np.testing.assert_allclose((to_world @ (z, y, x, 1))[:3], expected, atol=1e-9)


def test_another_spacing_keeps_the_first_outer_faces():
    image = marked_image(OBLIQUE)
    grid = grid_of(np.array(image.GetOrigin()), OBLIQUE).with_spacing((0.35, 2.6, 1.0))
    # x: 5 * 0.7 / 0.35 = 10, y: 6 * 1.3 / 2.6 = 3, z: 7 * 2.1 / 1 = 14.7 -> 15
    assert grid.size == (10, 3, 15)
    corner = image.TransformContinuousIndexToPhysicalPoint((-0.5, -0.5, -0.5))
    np.testing.assert_allclose((grid.to_world @ (-0.5, -0.5, -0.5, 1))[:3], corner, atol=1e-9)


def test_a_coarse_spacing_leaves_one_voxel():
    assert grid_of().with_spacing((100, 100, 100)).size == (1, 1, 1)


@pytest.mark.parametrize("spacing", [(1, 0, 1), (1, -1, 1), (1, 1), (1, 1, float("nan"))])
def test_a_spacing_must_be_three_positive_numbers(spacing):
    with pytest.raises(
        InputError, match=r"`spacing_mm`: found .*, expected three positive numbers Z Y X in mm; correct it"
    ):
        grid_of().with_spacing(spacing)


def test_geometry_is_written_back(tmp_path):
    grid = grid_of(np.array([1.0, 2, 3]), OBLIQUE)
    image = sitk.GetImageFromArray(np.zeros(SIZE[::-1], np.uint8))
    grid.put_on(image)
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    again = read_file_grid(tmp_path / "a.mha")
    assert again.size == SIZE
    for name in ("spacing_mm", "origin", "direction"):
        np.testing.assert_allclose(getattr(again, name), getattr(grid, name), atol=1e-9)


def test_a_file_without_geometry_is_refused(tmp_path):
    (tmp_path / "a.nii.gz").write_text("no image")
    message = r"a\.nii\.gz: found a file whose geometry cannot be read, expected a 3D image that nibabel or Sim"
    with pytest.raises(InputError, match=message):
        read_file_grid(tmp_path / "a.nii.gz")


def test_a_file_of_other_dimensions_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 2), np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz: found 4 dimensions, expected a 3D image; convert the image"):
        read_file_grid(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("reader", [SimpleITKIO, SimpleITKIOWithReorient, NibabelIO, NibabelIOWithReorient])
@pytest.mark.parametrize("direction", [np.eye(3), TURNED, OBLIQUE, TURNED @ OBLIQUE])
def test_the_grid_of_a_readers_array_is_where_simpleitk_sees_the_file(tmp_path, reader, direction):
    file = str(tmp_path / "a.nii.gz")
    sitk.WriteImage(marked_image(direction), file)
    array, properties = reader().read_images((file,))
    grid = reader_grid(array.shape[1:], properties)
    (index,) = np.argwhere(array[0])
    assert grid.shape == array.shape[1:]
    expected = sitk.ReadImage(file).TransformIndexToPhysicalPoint(MARKED)
    np.testing.assert_allclose((grid.to_world @ (*index, 1))[:3], expected, atol=1e-4)  # NIfTI keeps float32
    np.testing.assert_allclose(grid.spacing_mm[::-1], properties["spacing"], rtol=1e-6)


def test_an_array_without_a_place_lies_at_the_worlds_origin():
    grid = reader_grid((4, 5, 6), {"spacing": [3.0, 2.0, 1.0]})  # as a TIFF file is read
    assert (grid.size, grid.spacing_mm.tolist(), grid.origin.tolist()) == ((6, 5, 4), [1, 2, 3], [0, 0, 0])
    np.testing.assert_array_equal(grid.direction, np.eye(3))


def sheared(path, shear, row=0, column=2):
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[row, column] = shear * 1.5
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.float32), affine), path)
    return path


@pytest.mark.parametrize("shear", [5e-4, 2e-3])  # a tenth of one public set has as much
def test_a_small_shear_is_kept_as_it_is(tmp_path, shear):
    grid = read_file_grid(sheared(tmp_path / "a.nii.gz", shear))
    # voxel (x, y, z) = (2, 3, 4): RAS x = 1.5 * 2 + 4 * 1.5 * shear, y = 4.5, z = 6; LPS changes the signs of two
    np.testing.assert_allclose((grid.to_world @ (4, 3, 2, 1))[:3], [-3 - 6 * shear, -4.5, 6], atol=1e-6)
    np.testing.assert_allclose(grid.spacing_mm, [1.5, 1.5, 1.5 * np.hypot(1, shear)], atol=1e-6)


@pytest.mark.parametrize(
    ("shear", "column", "what"),
    [
        (0.02, 1, r"axes, 1\.1 degrees off a right angle"),  # atan(0.02) = 1.146 degrees
        (0.02, 2, r"slices shifted against each other, as by a gantry's tilt, 1\.1 degrees off a right angle"),
        (np.tan(np.radians(12)), 2, r"slices shifted .* tilt, 12\.0 degrees off a right angle"),
    ],
)
def test_a_large_shear_and_a_gantrys_tilt_are_refused_by_name(tmp_path, shear, column, what):
    file = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.load(sheared(file, 0)), tmp_path / "b.nii.gz")
    affine = np.eye(4)
    affine[0, column] = shear
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.float32), affine)
    image.header.set_zooms(np.linalg.norm(affine[:3, :3], axis=0))
    nibabel.save(image, file)
    with pytest.raises(
        InputError, match=rf"a\.nii\.gz: found a sheared grid \({what}\), expected axes at right angles"
    ):
        read_file_grid(file)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_shear_in_other_formats(tmp_path, ending):
    image = marked_image(np.array([[1, 0, 2e-3], [0, 1, 0], [0, 0, 1]]))
    sitk.WriteImage(image, str(tmp_path / f"small{ending}"))
    expected = image.TransformIndexToPhysicalPoint((4, 5, 6))
    np.testing.assert_allclose(
        (read_file_grid(tmp_path / f"small{ending}").to_world @ (6, 5, 4, 1))[:3], expected, atol=1e-4
    )
    sitk.WriteImage(marked_image(np.array([[1, 0, 0.05], [0, 1, 0], [0, 0, 1]])), str(tmp_path / f"large{ending}"))
    with pytest.raises(InputError, match=rf"large\{ending}: found a sheared grid \(slices shifted"):
        read_file_grid(tmp_path / f"large{ending}")


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PIR", "ASL"])
def test_orientations_are_named_as_nibabel_names_them(codes):
    affine = nibabel.orientations.inv_ornt_aff(
        nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
        ),
        (4, 5, 6),
    )
    assert "".join(nibabel.aff2axcodes(affine)) == codes
    assert FileGrid.from_affine((4, 5, 6), affine).orientation == codes
