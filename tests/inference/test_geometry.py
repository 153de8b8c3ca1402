import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from scipy.spatial.transform import Rotation

from impulse_nnunet.coordinates import Box
from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_displacement
from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.geometry import image_to_world, output_grid
from impulse_nnunet.network import build_network
from impulse_nnunet.world import FileGrid, read_file_grid, reader_to_world
from tests.support import SMALL

SIZE = (5, 6, 7)  # x, y, z
SPACING = (0.7, 1.3, 2.1)
MARKED = (3, 1, 4)  # x, y, z
# x to the front, y to the feet, z to the left: permuted and flipped
TURNED = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
OBLIQUE = Rotation.from_euler("xyz", [0.2, -0.15, 0.3]).as_matrix()


def marked_image(direction):
    array = np.zeros(SIZE[::-1], np.float32)
    array[MARKED[::-1]] = 1
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    image.SetOrigin((-11.0, 20.0, 5.0))
    image.SetDirection(np.asarray(direction).ravel().tolist())
    return image


@pytest.fixture(params=[np.eye(3), TURNED, OBLIQUE, TURNED @ OBLIQUE], ids=["plain", "turned", "oblique", "both"])
def file(request, tmp_path):
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(marked_image(request.param), str(path))
    return str(path)


def test_indices_reach_the_world_as_simpleitk_says(tmp_path):
    image = marked_image(OBLIQUE)
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    to_world = read_file_grid(tmp_path / "a.mha").to_world
    for x, y, z in [(0, 0, 0), MARKED, (4, 5, 6)]:
        expected = image.TransformIndexToPhysicalPoint((x, y, z))
        np.testing.assert_allclose((to_world @ (z, y, x, 1))[:3], expected, atol=1e-9)


def test_another_spacing_keeps_the_first_outer_faces():
    image = marked_image(OBLIQUE)
    grid = FileGrid(SIZE, np.array(SPACING), np.array(image.GetOrigin()), OBLIQUE).with_spacing((0.35, 2.6, 1.0))
    # x: 5 * 0.7 / 0.35 = 10, y: 6 * 1.3 / 2.6 = 3, z: 7 * 2.1 / 1 = 14.7 -> 15
    assert grid.size == (10, 3, 15)
    corner = image.TransformContinuousIndexToPhysicalPoint((-0.5, -0.5, -0.5))
    np.testing.assert_allclose((grid.to_world @ (-0.5, -0.5, -0.5, 1))[:3], corner, atol=1e-9)


def test_a_coarse_spacing_leaves_one_voxel():
    assert FileGrid(SIZE, np.array(SPACING), np.zeros(3), np.eye(3)).with_spacing((100, 100, 100)).size == (1, 1, 1)


@pytest.mark.parametrize("spacing", [(1, 0, 1), (1, -1, 1), (1, 1), (1, 1, float("nan"))])
def test_a_spacing_must_be_three_positive_numbers(spacing):
    with pytest.raises(
        InputError, match=r"--spacing: found .*, expected three positive numbers Z Y X in mm; correct it"
    ):
        FileGrid(SIZE, np.array(SPACING), np.zeros(3), np.eye(3)).with_spacing(spacing)


@pytest.mark.parametrize("reader", [SimpleITKIO, NibabelIO, NibabelIOWithReorient])
@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)])
def test_a_marked_voxel_is_where_simpleitk_sees_it(file, reader, transpose):
    expected = sitk.ReadImage(file).TransformIndexToPhysicalPoint(MARKED)
    array, properties = reader().read_images((file,))
    array = array[0].transpose(transpose)
    (index,) = np.argwhere(array)
    cropped = [[min(1, i), n] for i, n in zip(index.tolist(), array.shape, strict=True)]  # one voxel off where possible
    array = array[tuple(slice(*bounds) for bounds in cropped)]
    properties |= {"bbox_used_for_cropping": cropped, "shape_after_cropping_and_before_resampling": array.shape}
    (index,) = np.argwhere(array)
    position = (2 * index + 1) / np.array(array.shape) - 1
    to_world = image_to_world(properties, transpose)
    np.testing.assert_allclose((to_world @ (*position, 1))[:3], expected, atol=1e-4)  # NIfTI keeps float32


@pytest.mark.parametrize("reader", [SimpleITKIO, NibabelIOWithReorient])
def test_the_files_own_grid_finds_the_voxel_in_the_image(file, reader):
    array, properties = reader().read_images((file,))
    shape = array.shape[1:]
    properties |= {
        "bbox_used_for_cropping": [[0, n] for n in shape],
        "shape_after_cropping_and_before_resampling": shape,
    }
    grid = output_grid(read_file_grid(file), image_to_world(properties, (0, 1, 2)))
    assert grid.shape == SIZE[::-1]
    (index,) = np.argwhere(array[0])
    expected = (2 * index + 1) / np.array(shape) - 1
    np.testing.assert_allclose(grid.positions(np.array([MARKED[::-1]]))[0], expected, atol=1e-4)


def test_geometry_is_written_back(tmp_path):
    grid = FileGrid(SIZE, np.array(SPACING), np.array([1.0, 2, 3]), OBLIQUE)
    image = sitk.GetImageFromArray(np.zeros(SIZE[::-1], np.uint8))
    grid.put_on(image)
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    again = read_file_grid(tmp_path / "a.mha")
    assert again.size == SIZE
    for name in ("spacing_mm", "origin", "direction"):
        np.testing.assert_allclose(getattr(again, name), getattr(grid, name), atol=1e-9)


def test_a_reader_without_geometry_is_refused():
    assert reader_to_world({"spacing": [1, 1, 1]}) is None
    message = "image: found a format without world geometry, expected NIfTI, NRRD or MetaImage files; predict on"
    with pytest.raises(InputError, match=message):
        image_to_world({"spacing": [1, 1, 1]}, (0, 1, 2))


def test_a_file_without_geometry_is_refused(tmp_path):
    (tmp_path / "a.nii.gz").write_text("no image")
    message = r"a\.nii\.gz: found a file whose geometry cannot be read, expected a 3D image that nibabel or Sim"
    with pytest.raises(InputError, match=message):
        read_file_grid(tmp_path / "a.nii.gz")


def test_a_file_of_other_dimensions_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 2), np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz: found 4 dimensions, expected a 3D image; convert the image"):
        read_file_grid(tmp_path / "a.nii.gz")


def test_a_displacement_comes_out_in_world_millimetres():
    """A head that always says 0.1 box units along d and h: a tenth of half the image's edges, in the world."""
    network = build_network(SMALL, 1, 2)
    with torch.no_grad():
        network.decoder.deformation.last.bias[:2] = np.arctanh(0.1)
    pyramid = network.encode(torch.zeros(1, 1, 8, 8, 8))
    encoded = EncodedBox([(network.decoder, [level.float() for level in pyramid])], Box.whole())
    properties = {
        "sitk_stuff": {
            "spacing": (1.0, 2.0, 3.0),
            "origin": (7.0, 8.0, 9.0),
            "direction": (1, 0, 0, 0, -1, 0, 0, 0, 1),
        },
        "bbox_used_for_cropping": [[0, 6], [0, 5], [0, 4]],
        "shape_after_cropping_and_before_resampling": (6, 5, 4),
    }
    to_world = image_to_world(properties, (0, 1, 2))
    field = decode_displacement(encoded, OutputGrid.native((6, 5, 4)), 50)
    world = field @ to_world[:3, :3].T
    # d is z: 6 voxels of 3 mm, half the edge 9 mm, a tenth of that 0.9; h is y: 5 of 2 mm, 0.5, and it points to -y
    np.testing.assert_allclose(world.reshape(-1, 3), np.tile([0, -0.5, 0.9], (120, 1)), atol=1e-5)
