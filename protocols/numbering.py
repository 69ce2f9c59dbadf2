"""The numbers of steps, and labels that no two of them share."""

from __future__ import annotations

from collections import Counter

from protocols.nodes import Decision, Node, OnPasses, Repeat


class Numbering:
    """Numbers nodes in the order in which they are written; one for all parts of a program."""

    def __init__(self) -> None:
        self._next = 0
        self._labels: Counter[str] = Counter()

    def of(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Return the nodes with ascending numbers; a label that was there before gets a number too."""
        return tuple(map(self._numbered, nodes))

    def _numbered(self, node: Node) -> Node:
        if isinstance(node, Repeat | OnPasses):
            return node.model_copy(update={"body": self.of(node.body)})
        self._labels[node.label] += 1
        again = self._labels[node.label]
        label = node.label if again == 1 else f"{node.label} ({again})"
        changes: dict[str, object] = {"index": self._next, "label": label}
        self._next += 1
        if isinstance(node, Decision):
            changes |= {"then": self.of(node.then), "otherwise": self.of(node.otherwise)}
        return node.model_copy(update=changes)
