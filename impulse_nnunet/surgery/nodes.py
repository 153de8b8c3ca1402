"""A tree as points with parents, in which pieces can be hung onto each other."""

from __future__ import annotations

import numpy as np

from impulse_nnunet.surgery.graph import BranchTree, lines_of, number_lines, turn


class Nodes:
    """The points of a tree's lines, each once.

    Args:
        points_mm: (n, 3).
        radii_mm: (n,).
        piece: (n,).
        parents: (n,) -1 at roots.
        number: (branch, point) -> number of the node.
    """

    def __init__(
        self,
        points_mm: np.ndarray,
        radii_mm: np.ndarray,
        piece: np.ndarray,
        parents: np.ndarray,
        number: dict[tuple[int, int], int],
    ) -> None:
        self.points_mm, self.radii_mm, self.piece, self.parents, self.number = (
            points_mm,
            radii_mm,
            piece,
            parents,
            number,
        )
        self.gap_mm = np.zeros(len(parents))

    @classmethod
    def of(cls, tree: BranchTree) -> Nodes:
        """The nodes of a tree; a branch's first point is its parent's last, and that of all others at its root."""
        number: dict[tuple[int, int], int] = {}
        roots: dict[tuple[int, bytes], int] = {}
        points: list[np.ndarray] = []
        radii: list[float] = []
        piece: list[int] = []
        parents: list[int] = []
        for branch in tree.branches:
            for k, (point, radius) in enumerate(zip(branch.points_mm, branch.radii_mm, strict=True)):
                known = None
                if k == 0 and branch.parent >= 0:
                    known = number[branch.parent, len(tree.branches[branch.parent].points_mm) - 1]
                elif k == 0:
                    known = roots.setdefault((branch.piece, point.tobytes()), len(points))
                if known is None or known == len(points):
                    parents.append(number[branch.id, k - 1] if k else -1)
                    points.append(point)
                    radii.append(radius)
                    piece.append(branch.piece)
                    known = len(points) - 1
                number[branch.id, k] = known
        return cls(np.array(points), np.array(radii), np.array(piece), np.array(parents), number)

    def hang(self, child: int, parent: int, gap_mm: float) -> None:
        """Make a node the root of all that hangs together with it, and hang it onto another one."""
        root = child
        gaps = []
        while self.parents[root] >= 0:  # the gap in front of a node moves to the other side of its step
            gaps.append((root, int(self.parents[root]), float(self.gap_mm[root])))
            root = int(self.parents[root])
        turn(self.parents, child)
        for node, _, _ in gaps:
            self.gap_mm[node] = 0.0
        for _, before, gap in gaps:
            self.gap_mm[before] = gap
        self.parents[child], self.gap_mm[child] = parent, gap_mm

    def tree(self, voxels: tuple[int, ...]) -> BranchTree:
        """The branches between forks, numbered again."""
        lines = lines_of(self.parents)
        branches = number_lines(lines, self.points_mm, self.radii_mm, self.piece, self.gap_mm)
        return BranchTree(branches=tuple(branches), voxels=voxels)
