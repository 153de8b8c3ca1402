"""nnU-Net's fingerprint with our reader and in threads.

nnU-Net's own extractor takes another reader than the plans name (ITK's for NIfTI) and dies with its worker at the first
file that it cannot read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

from impulse_nnunet.io.dataset_json import channel_names
from impulse_nnunet.io.files import write_json
from impulse_nnunet.io.images import read_case
from impulse_nnunet.io.nnunet import reader_for
from impulse_nnunet.preprocessing.survey import allowed_labels, for_all_cases, ignore_label

FINGERPRINT = "dataset_fingerprint.json"
PERCENTILES = {"percentile_00_5": 0.5, "median": 50.0, "percentile_99_5": 99.5}


class ReadAlikeFingerprintExtractor(DatasetFingerprintExtractor):
    """nnU-Net's numbers of the images as all other steps see them."""

    def run(self, overwrite_existing: bool = False) -> dict:
        """Overrides nnU-Net's: the file appears only when it is whole.

        Raises:
            CasesFailedError: Naming every case that cannot be read.
        """
        path = Path(nnUNet_preprocessed, self.dataset_name, FINGERPRINT)
        if path.is_file() and not overwrite_existing:
            return dict(load_json(str(path)))
        title = "Extracting dataset fingerprint"
        results = for_all_cases(self._measure, list(self.dataset), self.num_processes, title, self.show_progress_bar)
        intensities = [
            np.concatenate([case["intensities"][channel] for case in results.values()])
            for channel in range(len(channel_names(self.dataset_json)))
        ]
        fingerprint = {
            "spacings": [case["spacing"] for case in results.values()],
            "shapes_after_crop": [case["shape"] for case in results.values()],
            "foreground_intensity_properties_per_channel": {
                str(channel): _statistics(values) for channel, values in enumerate(intensities)
            },
            "median_relative_size_after_cropping": float(np.median([case["kept"] for case in results.values()])),
        }
        write_json(fingerprint, path)
        return fingerprint

    def _measure(self, case: str) -> dict[str, Any]:
        entry, channels = self.dataset[case], len(channel_names(self.dataset_json))
        labels, ignore = allowed_labels(self.dataset_json), ignore_label(self.dataset_json)
        reader = reader_for(self.dataset_json)()
        raw = read_case(reader, case, entry["images"], channels, entry["label"], labels, ignore)
        images, segmentation, _ = crop_to_nonzero(raw.images, raw.segmentation)
        samples = int(self.num_foreground_voxels_for_intensitystats // len(self.dataset))
        found, _ = self.collect_foreground_intensities(segmentation, images, num_samples=samples)
        return {
            "spacing": [float(edge) for edge in raw.properties["spacing"]],
            "shape": [int(edge) for edge in images.shape[1:]],
            "kept": float(np.prod(images.shape[1:]) / np.prod(raw.images.shape[1:])),
            "intensities": found,
        }


def _statistics(values: np.ndarray) -> dict[str, float]:
    found = {"mean": np.mean(values), "std": np.std(values), "min": np.min(values), "max": np.max(values)}
    percentiles = dict(zip(PERCENTILES, np.percentile(values, list(PERCENTILES.values())), strict=True))
    return {name: float(value) for name, value in (found | percentiles).items()}
