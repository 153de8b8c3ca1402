"""DICOM series as a scanner writes them, made by pydicom."""

from dataclasses import dataclass, field

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

PATIENT = "MUELLER^HANS"
PATIENT_ID = "4711-0815"
AXIAL = (1.0, 0, 0, 0, 1.0, 0)


@dataclass(kw_only=True)
class Scan:
    """One series.

    Args:
        voxels: (d, h, w), stored values of slices along the normal, from its lower end on.
        spacing_mm: (d, h, w).
        orientation: Direction cosines of a row and a column.
        origin: Place of the first voxel.
        tags: Further elements of every slice, by keyword.
        of_slice: Slice number -> further elements of this slice.
    """

    voxels: np.ndarray
    spacing_mm: tuple = (2.0, 0.7, 0.8)
    orientation: tuple = AXIAL
    origin: tuple = (-12.5, 30.0, -100.0)
    modality: str = "CT"
    study: str = field(default_factory=generate_uid)
    series: str = field(default_factory=generate_uid)
    frame_of_reference: str = field(default_factory=generate_uid)
    patient_id: str = PATIENT_ID
    tags: dict = field(default_factory=dict)
    of_slice: dict = field(default_factory=dict)

    @property
    def axes(self):
        row, column = np.reshape(self.orientation, (2, 3))
        return np.stack([row, column, np.cross(row, column)], axis=1)

    def position(self, index):
        return np.asarray(self.origin) + self.axes[:, 2] * self.spacing_mm[0] * index

    def dataset(self, index):
        storage = MRImageStorage if self.modality == "MR" else CTImageStorage
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_ = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        stored = np.asarray(self.voxels[index])
        elements = {
            "SOPClassUID": storage,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "SpecificCharacterSet": "ISO_IR 192",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "StudyDate": "20260102",
            "StudyTime": "101112",
            "SeriesDate": "20260102",
            "SeriesTime": "101112",
            "ContentDate": "20260102",
            "ContentTime": "101112",
            "AcquisitionDate": "20260102",
            "AcquisitionTime": "101112",
            "AccessionNumber": "A7",
            "Modality": self.modality,
            "Manufacturer": "Made up",
            "ReferringPhysicianName": "",
            "PatientName": PATIENT,
            "PatientID": self.patient_id,
            "PatientBirthDate": "19500101",
            "PatientSex": "M",
            "KVP": "120",
            "StudyInstanceUID": self.study,
            "SeriesInstanceUID": self.series,
            "FrameOfReferenceUID": self.frame_of_reference,
            "PositionReferenceIndicator": "",
            "StudyID": "1",
            "SeriesNumber": "3",
            "AcquisitionNumber": "1",
            "InstanceNumber": str(len(self.voxels) - index),  # against the order of places
            "PatientPosition": "HFS",
            "ImagePositionPatient": [f"{number:.8g}" for number in self.position(index)],
            "ImageOrientationPatient": [f"{number:.10g}" for number in self.orientation],
            "PixelSpacing": [self.spacing_mm[1], self.spacing_mm[2]],
            "SliceThickness": str(self.spacing_mm[0]),
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": stored.shape[0],
            "Columns": stored.shape[1],
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": int(stored.dtype.kind == "i"),
            "RescaleIntercept": "-1024",
            "RescaleSlope": "1",
            "RescaleType": "HU",
        }
        for name, value in (elements | self.tags | self.of_slice.get(index, {})).items():
            if value is None:
                continue
            setattr(slice_, name, value)
        slice_.PixelData = stored.astype(f"<{stored.dtype.kind}2").tobytes()
        return slice_

    def write(self, folder, names=None, compress=None):
        """Write a file a slice, named in an order that is not theirs; returns the names by slice."""
        folder.mkdir(parents=True, exist_ok=True)
        shuffled = np.random.default_rng(7).permutation(len(self.voxels))
        files = []
        for index in range(len(self.voxels)):
            slice_ = self.dataset(index)
            if compress:
                slice_.compress(compress, generate_instance_uid=False)
            files.append(folder / (names or "IM{:04d}").format(shuffled[index]))
            slice_.save_as(files[-1], enforce_file_format=True)
        return files


def scan(shape=(6, 8, 10), seed=0, **more):
    """Noise of a CT, stored unsigned with an intercept of -1024."""
    voxels = np.random.default_rng(seed).integers(0, 3000, shape).astype(np.uint16)
    return Scan(voxels=voxels, **more)
