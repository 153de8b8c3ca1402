"""How often an honest case is warned of, and how often one that was spoilt on purpose; for docs/reliability.md.

python -m benchmarks.plausibility RAW_DATASET --train 6 20 --repeats 5

Training and held-out cases are drawn at random from imagesTr and imagesTs; their labels are those of the data set, so a
good prediction is taken for granted.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from impulse_nnunet.io.dataset_json import channel_names, read_dataset_json
from impulse_nnunet.io.grid import reader_to_world
from impulse_nnunet.io.images import RawCase, read_case
from impulse_nnunet.io.label_maps import count_values
from impulse_nnunet.io.nnunet import reader_for
from impulse_nnunet.laterality.asymmetry import decode
from impulse_nnunet.laterality.pose import KINDS, learn_pose, pose_cells, pose_of, turned_over
from impulse_nnunet.plausibility.facts import CaseFacts, Channels, facts_of_images, world_or_spacing
from impulse_nnunet.plausibility.judgement import judge_images, judge_prediction, learn
from impulse_nnunet.plausibility.labels import label_facts
from impulse_nnunet.plausibility.sample import step_of
from impulse_nnunet.preprocessing.survey import (
    allowed_labels,
    channel_words,
    channels_of,
    foreground_labels,
    image_to_judge,
    label_names,
)

Arrays = tuple[np.ndarray, np.ndarray]


def read_all(folder: Path, content: Mapping[str, Any]) -> dict[str, RawCase]:
    """All cases with labels."""
    number, ending = len(channel_names(content)), content["file_ending"]
    cases = {}
    for part in ("Tr", "Ts"):
        for label in sorted((folder / f"labels{part}").glob(f"*{ending}")):
            case = label.name.removesuffix(ending)
            files = [str(folder / f"images{part}" / f"{case}_{n:04d}{ending}") for n in range(number)]
            reader = reader_for(dict(content))()
            cases[case] = read_case(reader, case, files, number, str(label), allowed_labels(content))
    return cases


def spoilt(images: np.ndarray, labels: np.ndarray, kinds: Channels) -> Iterator[tuple[str, Arrays]]:
    """(what was done, images and labels); array axes run from foot to head, as the reader gives them."""
    half, some = labels.shape[0] // 2, int(np.bincount(labels[labels > 0]).argmax())
    yield "lower half", (images[:, :half], labels[:half])
    yield "upper half", (images[:, half:], labels[half:])
    yield "upside down", (images[:, ::-1], labels[::-1])
    yield "back to front", (images[:, :, ::-1], labels[:, ::-1])
    yield "a label missing", (images, np.where(labels == some, 0, labels))
    if kinds.ct:
        yield "HU + 1024", (np.where(_is(kinds.ct, images), images + 1024, images), labels)
        yield "HU as 0 to 4095", (np.where(_is(kinds.ct, images), np.clip(images + 1024, 0, 4095), images), labels)
        yield "HU clipped to a window", (np.where(_is(kinds.ct, images), np.clip(images, -160, 240), images), labels)
        yield "labels on other tissue", (np.where(_is(kinds.ct, images) & (labels > 0), 40, images), labels)
    for mask in kinds.masks[:1]:
        yield "mask 0 and 255", (np.where(_is((mask,), images), images * 255, images), labels)
        yield "mask empty", (np.where(_is((mask,), images), 0, images), labels)
        if kinds.ct:
            yield "CT in a mask channel", (np.where(_is((mask,), images), images[:1], images), labels)
    if len(kinds.masks) > 1:
        order = list(range(kinds.number))
        one, other = kinds.masks[-2:]
        order[one], order[other] = other, one
        yield "two masks exchanged", (images[order], labels)


def measure(arrays: Arrays, to_world: np.ndarray, kinds: Channels) -> tuple[CaseFacts, np.ndarray | None]:
    """Facts of a case, labels included, and its pose."""
    images, labels = np.ascontiguousarray(arrays[0], np.float32), np.ascontiguousarray(arrays[1], np.uint8)
    facts, sample = facts_of_images(images, to_world, kinds)
    found = label_facts(labels, count_values(labels), to_world, sample, faces=True, step=step_of(labels.shape))
    pose = pose_of(pose_cells(image_to_judge(images, kinds.masks), to_world))
    return replace(facts, labels=found), pose


def main() -> None:
    """Print a table for each number of training cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--train", type=int, nargs="+", default=[6, 20])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--spoil", type=int, default=20, help="held-out cases to spoil (default: 20)")
    parser.add_argument("--without", nargs="*", default=[], help="cases to leave out")
    options = parser.parse_args()
    content = read_dataset_json(options.dataset / "dataset.json")
    kinds, cases = channels_of(content), read_all(options.dataset, content)
    cases = {case: raw for case, raw in cases.items() if case not in options.without}
    places = {case: _place(raw) for case, raw in cases.items()}
    start = perf_counter()
    honest = {case: measure((raw.images, raw.segmentation[0]), places[case], kinds) for case, raw in cases.items()}
    say(f"{len(cases)} cases, {1000 * (perf_counter() - start) / len(cases):.0f} ms a case")
    rng = np.random.default_rng(0)
    for number in options.train:
        tally: dict[str, Counter[str]] = {}
        for _ in range(options.repeats):
            order = rng.permutation(list(cases)).tolist()
            judge = _judge_by([honest[case] for case in order[:number]], content)
            for position, case in enumerate(order[number:]):
                views = [("honest", honest[case])]
                if position < options.spoil // options.repeats:
                    raw = cases[case]
                    made = spoilt(raw.images, raw.segmentation[0].astype(np.uint8), kinds)
                    views += [(name, measure(arrays, places[case], kinds)) for name, arrays in made]
                for name, view in views:
                    found = judge(view)
                    tally.setdefault(name, Counter()).update([*found, "cases", *(["any"] if found else [])])
        say(f"{number} training cases")
        for name, counts in tally.items():
            rest = ", ".join(f"{kind} {n}" for kind, n in counts.most_common() if kind not in ("cases", "any"))
            say(f"  {name}: {counts['any']} of {counts['cases']} ({rest})")


def say(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _judge_by(training: list[tuple[CaseFacts, np.ndarray | None]], content: Mapping[str, Any]) -> Any:
    """A function: what is found in a case, compared with some training cases."""
    learned = learn([facts for facts, _ in training], foreground_labels(content))
    pose = learn_pose({str(n): found for n, (_, found) in enumerate(training) if found is not None})
    names, words = label_names(content), channel_words(content)

    def judge(view: tuple[CaseFacts, np.ndarray | None]) -> set[str]:
        facts, own = view
        found = judge_images(learned, facts, words)
        found += [] if facts.labels is None else judge_prediction(learned, facts.labels, names)
        turned = turned_over(own, decode(pose.pattern), pose.axes) if own is not None and pose.pattern else ()
        return {finding.kind for finding in found} | {KINDS[axis] for axis in turned}

    return judge


def _place(raw: RawCase) -> np.ndarray:
    return world_or_spacing(reader_to_world(raw.properties), raw.properties["spacing"])


def _is(channels: tuple[int, ...], images: np.ndarray) -> np.ndarray:
    chosen = np.isin(np.arange(len(images)), channels)
    return np.broadcast_to(chosen[:, None, None, None], images.shape)


if __name__ == "__main__":
    main()
