"""Oblique images: encoded upright, labelled on their own grid, every voxel at its exact place."""

from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIOWithReorient
from scipy.spatial.transform import Rotation

from impulse_nnunet.decoding import EncodedBox
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.io.images import read_case
from impulse_nnunet.nnunet.cases import decode_case, write_case
from tests.support import perturb_heads, small_network

SIZE, SPACING = (12, 14, 10), (1.0, 1.5, 2.0)
OBLIQUE = Rotation.from_euler("xyz", [10, -5, 25], degrees=True).as_matrix()
TURNED = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])


@pytest.fixture(params=["nii.gz", "nrrd"])
def oblique(request, tmp_path):
    """An image that is turned and oblique, its reader, the case as it is read, and its image in ITK."""
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=SIZE[::-1]).astype(np.float32))
    image.SetSpacing(SPACING)
    image.SetOrigin((5.0, -7.0, 11.0))
    image.SetDirection((OBLIQUE @ TURNED).ravel().tolist())
    file = str(tmp_path / f"a_0000.{request.param}")
    sitk.WriteImage(image, file)
    reader = NibabelIOWithReorient if request.param == "nii.gz" else SimpleITKIOWithReorient
    return SimpleNamespace(file=file, reader=reader, case=read_case(reader(), "a", [file], 1), image=image)


def preprocessed(case, transpose=(0, 1, 2)):
    """As nnU-Net's preprocessing leaves the properties, one voxel cropped at each side of each axis."""
    shape = [case.images.shape[1:][axis] for axis in transpose]
    cropped = [[1, n - 1] for n in shape]
    return case.properties | {
        "shape_before_cropping": tuple(shape),
        "bbox_used_for_cropping": cropped,
        "shape_after_cropping_and_before_resampling": tuple(n - 2 for n in shape),
    }


def encoded():
    torch.manual_seed(0)
    network = perturb_heads(small_network(classes=4, channels=1).eval())
    pyramid = network.encode(torch.randn(1, 1, 4, 6, 8))
    return EncodedBox([(network.decoder, [level.detach().float() for level in pyramid])], Box.whole())


def plans(oblique, transpose):
    backward = np.argsort(transpose).tolist()
    return SimpleNamespace(
        transpose_forward=list(transpose), transpose_backward=backward, image_reader_writer_class=oblique.reader
    )


def expected_labels(oblique, properties, transpose, box):
    """Label of each voxel of the file by ITK's idea of where it is, and whether its position is clear of the faces."""
    index = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1).reshape(-1, 3)
    world = np.array([oblique.image.TransformIndexToPhysicalPoint(row) for row in index.tolist()])
    if "nibabel_stuff" in properties:
        affine = properties["nibabel_stuff"]["original_affine"]
        voxel = nibabel.affines.apply_affine(np.linalg.inv(affine), world * (-1, -1, 1))
    else:
        stuff = properties["sitk_stuff"]
        direction = np.reshape(stuff["direction"], (3, 3))
        voxel = (world - stuff["origin"]) @ direction / stuff["spacing"]
    voxel = voxel[:, ::-1][:, list(transpose)] - 1  # one was cropped
    shape = np.array(properties["shape_after_cropping_and_before_resampling"])
    position = (2 * voxel + 1) / shape - 1
    inside = np.abs(position).max(1) < 1
    labels = np.zeros(len(index), int)
    logits, _ = box.evaluate(position[inside].astype(np.float32))
    labels[inside] = np.asarray(logits).argmax(1)
    return labels.reshape(SIZE), inside.reshape(SIZE)


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)])
def test_labels_are_those_at_the_voxels_places(oblique, tmp_path, transpose):
    properties, box = preprocessed(oblique.case, transpose), encoded()
    prediction = decode_case(box, 512, properties, plans(oblique, transpose))
    write_case(
        prediction, properties, plans(oblique, transpose), oblique.file[oblique.file.index(".") :], str(tmp_path / "a")
    )
    written = sitk.ReadImage(oblique.file.replace("_0000", ""))
    np.testing.assert_allclose(written.GetDirection(), oblique.image.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(written.GetOrigin(), oblique.image.GetOrigin(), atol=1e-5)
    expected, inside = expected_labels(oblique, properties, transpose, box)
    assert inside.mean() > 0.9
    assert len(np.unique(expected)) == 4
    differing = expected != sitk.GetArrayFromImage(written).T
    assert differing.mean() < 2e-3  # near ties, by rounding


def test_probabilities_come_on_the_images_own_grid(oblique):
    properties = preprocessed(oblique.case)
    prediction = decode_case(encoded(), 512, properties, plans(oblique, (0, 1, 2)), with_probabilities=True)
    array, _ = oblique.reader().read_images((oblique.file,))
    assert prediction.probabilities.shape == (4, *array.shape[1:])
    np.testing.assert_array_equal(prediction.probabilities.argmax(0), prediction.labels)
    np.testing.assert_array_equal(
        prediction.labels, decode_case(encoded(), 64, properties, plans(oblique, (0, 1, 2))).labels
    )
