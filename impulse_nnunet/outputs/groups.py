"""What a table has rows of: labels, and the lobes and lungs that they make up."""

from __future__ import annotations

from dataclasses import dataclass

from impulse_nnunet.outputs.cases import Segments

LABEL, LOBE, LUNG = "label", "lobe", "lung"


@dataclass(frozen=True, kw_only=True)
class Group:
    """One row's labels.

    Args:
        kind: ``label``, ``lobe`` or ``lung``.
        name: What it is called.
        labels: That make it up and have voxels; of an empty label itself.
        lobe: The lobe that a label belongs to; None for others.
        missing: Labels that belong to it and have no voxels.
        empty: A label that the names know and the map does not have.
    """

    kind: str
    name: str
    labels: tuple[int, ...]
    lobe: str | None = None
    missing: tuple[int, ...] = ()
    empty: bool = False

    @property
    def label(self) -> str:
        """Its number; of several, joined by ``+``."""
        return "+".join(map(str, self.labels))


def groups_of(segments: Segments) -> list[Group]:
    """Groups of a case: its labels, empty ones too, then its lobes, then its lungs.

    Of a choice of labels, lobes and lungs appear whose labels are all chosen.
    """
    names = segments.names
    lobe_of = {label: lobe for lobe, labels in names.lobes.items() for label in labels}
    groups = [
        Group(
            kind=LABEL,
            name=names.name(label),
            labels=(label,),
            lobe=lobe_of.get(label),
            empty=label in segments.absent,
        )
        for label in sorted({*segments.labels, *segments.absent})
    ]
    for kind, members in ((LOBE, names.lobes), (LUNG, names.lungs)):
        for name, labels in members.items():
            found = tuple(label for label in labels if label in segments.present)
            missing = tuple(label for label in labels if label not in segments.present)
            if found and len(labels) > 1 and {*found} <= {*segments.labels}:  # a single label has its row
                groups.append(Group(kind=kind, name=name, labels=found, missing=missing))
    return groups
