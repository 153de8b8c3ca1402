"""The kinds of findings, by their short and stable names."""

from __future__ import annotations

KINDS = {
    "hu_shift": "CT values are shifted, e.g. stored as 0 to 4095",
    "hu_range": "CT values are none that training cases have",
    "mirrored": "left and right look exchanged",
    "upside_down": "head and feet look exchanged",
    "back_to_front": "front and back look exchanged",
    "mask_empty": "a mask channel shows nothing",
    "mask_values": "a mask channel holds other values than in training, e.g. 0 and 255, or an image",
    "mask_volume": "a mask is far smaller or larger than in training",
    "masks_swapped": "two mask channels look exchanged",
    "fov_cut": "the field of view cuts what is labelled",
    "body_part": "labels lie on tissue of other values than in training: perhaps another part of the body",
    "total_volume": "all labels together are far smaller or larger than in training",
    "label_missing": "a label that all training cases have is missing",
    "label_volume": "a label is far smaller or larger than in training",
    "label_place": "a label lies elsewhere among the labels than in training",
    "label_values": "a label lies on tissue of other values than in training",
}
NAMED = 3  # labels that a line names


def named(parts: list[str]) -> str:
    """The first few of several parts of a line, and how many more there are."""
    more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    return ", ".join(parts[:NAMED]) + more
