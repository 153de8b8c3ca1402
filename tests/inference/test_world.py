import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from scipy.spatial.transform import Rotation

from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_displacement
from impulse_nnunet.errors import InputError
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.inference.world import image_to_world, output_grid
from impulse_nnunet.io.grid import read_file_grid, reader_to_world
from impulse_nnunet.network import build_network
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


def test_a_reader_without_geometry_is_refused():
    assert reader_to_world({"spacing": [1, 1, 1]}) is None
    message = "image: found a format without world geometry, expected NIfTI, NRRD or MetaImage files; predict on"
    with pytest.raises(InputError, match=message):
        image_to_world({"spacing": [1, 1, 1]}, (0, 1, 2))


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
