"""From facts to what the plans hold, and from the plans and a case's facts to findings."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from impulse_nnunet.plausibility.ct_values import judge_values, learn_values
from impulse_nnunet.plausibility.facts import CaseFacts
from impulse_nnunet.plausibility.intervals import FEWEST_CASES
from impulse_nnunet.plausibility.labels import LabelFacts, judge_extent, judge_labels, learn_labels, with_whole
from impulse_nnunet.plausibility.learned import LearnedPlausibility
from impulse_nnunet.plausibility.masks import judge_masks, learn_masks
from impulse_nnunet.runtime.findings import Finding

NOT_LEARNED = (
    "plausibility: these plans hold nothing of the training cases to compare with, so values, masks and labels are not "
    "checked; plans of five or more cases by this version do"
)
MANY_CASES = 200  # one more or less of them decides nothing
logger = logging.getLogger(__name__)


def learn(cases: Sequence[CaseFacts], labels: Sequence[int]) -> LearnedPlausibility:
    """What training cases have in common; of fewer than five, the values of their masks only.

    Args:
        cases: Facts, labels included.
        labels: Numbers of the labels, without background and the ignore label.
    """
    if not cases:
        return LearnedPlausibility()
    learned = LearnedPlausibility(cases=len(cases), masks=learn_masks([case.masks for case in cases]))
    if len(cases) < FEWEST_CASES:
        logger.info("fewer than %d training cases: values and labels will not be compared with them", FEWEST_CASES)
        return learned
    channels = tuple(learn_values(channel, [case.values[channel] for case in cases]) for channel in cases[0].values)
    known = [case.labels for case in cases if case.labels is not None]
    learned = replace(learned, channels=channels, labels=learn_labels(known, labels))
    return with_whole(learned, known) if known else learned


def judge_images(learned: LearnedPlausibility, case: CaseFacts, titles: Mapping[int, str]) -> list[Finding]:
    """What is implausible about a case's images.

    Args:
        learned: Of the training cases.
        case: Its facts.
        titles: What the channels show, for messages.
    """
    known = [channel for channel in learned.channels if channel.channel in case.values]
    values = [judge_values(channel, case.values[channel.channel]) for channel in known]
    found = [*values, judge_extent(learned, case.extent_mm)]
    return [finding for finding in found if finding is not None] + judge_masks(learned.masks, case.masks, titles)


def judge_prediction(learned: LearnedPlausibility, labels: LabelFacts, names: Mapping[int, str]) -> list[Finding]:
    """What is implausible about the labels of a case; see :func:`judge_labels`."""
    return judge_labels(learned, labels, names) if learned.labels else []


def training_warnings(
    cases: Mapping[str, CaseFacts], labels: Sequence[int], titles: Mapping[int, str], names: Mapping[int, str]
) -> list[str]:
    """Lines on training cases that are not like the others, one for each kind.

    Args:
        cases: Identifier -> facts.
        labels: Numbers of the labels, without background and the ignore label.
        titles: What the channels show.
        names: Of the labels.
    """
    if len(cases) <= FEWEST_CASES:
        return []
    found: dict[str, list[str]] = {}
    of_all = learn(list(cases.values()), labels) if len(cases) > MANY_CASES else None
    for case, facts in cases.items():
        learned = of_all or learn([other for name, other in cases.items() if name != case], labels)
        of_labels = [] if facts.labels is None else judge_prediction(learned, facts.labels, names)
        for finding in judge_images(learned, facts, titles) + of_labels:
            found.setdefault(finding.kind, []).append(f"{case}: {finding.text}")
    lines = []
    for kind, kept in found.items():
        more = f" ({len(kept) - 1} more: {', '.join(line.partition(':')[0] for line in kept[1:11])})" * (len(kept) > 1)
        lines.append(f"{len(kept)} of {len(cases)} training cases differ from the others, {kind}: {kept[0]}{more}")
    return lines
