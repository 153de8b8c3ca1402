import numpy as np
import SimpleITK as sitk
import torch
from torch.nn import functional

from impulse_nnunet.training.template_image import write_template


def test_labels_and_spacing_reach_the_file(tmp_path):
    labels = torch.arange(24).reshape(2, 3, 4) % 5
    logits = functional.one_hot(labels, 5).permute(3, 0, 1, 2).float()
    write_template(logits, (10.0, 6.0, 4.0), tmp_path / "template.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "template.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), labels)
    # 10 / 2, 6 / 3, 4 / 4 mm; SimpleITK counts x first
    np.testing.assert_allclose(image.GetSpacing(), (1, 2, 5))
