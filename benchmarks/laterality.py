"""How often a mirrored image is noticed, and a correct one called mirrored: learned from imagesTr, judged on imagesTs.

impulse_nnunet phantom -d 801 -n 40 --test 60 --size 96 112 112
python -m benchmarks.laterality $nnUNet_raw/Dataset801_PhantomSegments
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

import nibabel
import numpy as np
import SimpleITK as sitk

from impulse_nnunet.io.grid import read_file_grid
from impulse_nnunet.laterality.asymmetry import asymmetry, decode
from impulse_nnunet.laterality.judgement import learn, looks_mirrored

SHIFTS = (0.0, -0.06, -0.1, 0.1, 0.2)  # of the width, cut off at one side (-) or added as air (+)
AIR_HU = -1000


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(d, h, w) values and the matrix to LPS."""
    if path.name.endswith(".nrrd"):
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path))), read_file_grid(path).to_world
    return np.asarray(nibabel.load(path).dataobj).T, read_file_grid(path).to_world


def off_centre(image: np.ndarray, share: float) -> list[np.ndarray]:
    """The image with a part cut off, or air added, at the right and at the left; the image itself for 0."""
    width = round(abs(share) * image.shape[2])
    if width == 0:
        return [image]
    if share < 0:
        return [image[:, :, width:], image[:, :, :-width]]
    sides = ((width, 0), (0, width))
    return [np.pad(image, ((0, 0), (0, 0), side), constant_values=AIR_HU) for side in sides]


def main() -> None:
    """Print one line for each shift, and one for each further file given: its agreement."""
    folder = Path(sys.argv[1])
    training = {}
    for path in sorted((folder / "imagesTr").glob("*_0000.*")):
        image, to_world = read(path)
        found = asymmetry(image, to_world)
        if found is not None:
            training[path.name] = found
    learned = decode(learn(training))
    tests = [read(path) for path in sorted((folder / "imagesTs").glob("*_0000.*"))]
    for share in SHIFTS:
        right, mirrored = [], []
        for image, to_world in tests:
            for view in off_centre(image, share):
                right.append(_agreement(view, to_world, learned))
                mirrored.append(_agreement(view[..., ::-1], to_world, learned))
        flags = np.mean([looks_mirrored(a) for a in mirrored]), np.mean([looks_mirrored(a) for a in right])
        sys.stdout.write(
            f"{share:+4.0%}: {len(right)} correct and {len(mirrored)} mirrored images; noticed {flags[0]:.1%}, falsely "
            f"called {flags[1]:.1%}; agreement of the correct ones {min(right):.2f} to {max(right):.2f}\n"
        )
    started = perf_counter()
    for image, to_world in tests[:10]:
        asymmetry(image, to_world)
    milliseconds = 1000 * (perf_counter() - started) / len(tests[:10])
    sys.stdout.write(f"{milliseconds:.0f} ms an image of {' x '.join(map(str, tests[0][0].shape))}\n")
    for name in sys.argv[2:]:
        image, to_world = read(Path(name))
        sys.stdout.write(f"{name}: agreement {_agreement(image, to_world, learned):.2f}\n")


def _agreement(image: np.ndarray, to_world: np.ndarray, learned: np.ndarray) -> float:
    found = asymmetry(image, to_world)
    return 0.0 if found is None else float(found @ learned)


if __name__ == "__main__":
    main()
