import nibabel
import numpy as np
import SimpleITK as sitk
import torch
from torch.nn import functional

from impulse_nnunet.training.template_image import write_template


def test_labels_and_spacing_reach_the_file(tmp_path):
    labels = torch.arange(24).reshape(2, 3, 4) % 5
    logits = functional.one_hot(labels, 5).permute(3, 0, 1, 2).float()
    write_template(logits, (10.0, 6.0, 4.0), tmp_path / "template.nii.gz", axes_are_ras=False)
    image = sitk.ReadImage(str(tmp_path / "template.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), labels)
    # 10 / 2, 6 / 3, 4 / 4 mm; SimpleITK counts x first
    np.testing.assert_allclose(image.GetSpacing(), (1, 2, 5))


def test_axes_that_were_turned_to_ras_are_written_as_such(tmp_path):
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[1, 2, 3] = 1  # the voxel most superior, anterior and right
    logits = functional.one_hot(torch.from_numpy(labels).long(), 2).permute(3, 0, 1, 2).float()
    write_template(logits, (2.0, 3.0, 4.0), tmp_path / "template.nii.gz", axes_are_ras=True)
    image = nibabel.load(tmp_path / "template.nii.gz")
    x, y, z = image.affine[:3, :3] @ np.argwhere(np.asarray(image.dataobj) == 1)[0] + image.affine[:3, 3]
    # nibabel's world is RAS; the first voxel lies at the origin, the marked one 3, 2 and 1 voxels of 1 mm from it
    np.testing.assert_allclose((x, y, z), (3, 2, 1))
