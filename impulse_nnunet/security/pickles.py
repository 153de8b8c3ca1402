"""Which names a pickle would import, found by reading its opcodes; nothing is unpickled."""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any

UNREADABLE = "a name that is made while it is read"
TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
STORES = {"PUT", "BINPUT", "LONG_BINPUT"}
FETCHES = {"GET", "BINGET", "LONG_BINGET"}
BY_NUMBER = {"EXT1", "EXT2", "EXT4"}  # names of a registry of the process that reads


@dataclass
class _Texts:
    """As much of the pickle machine as STACK_GLOBAL needs: the texts on top of the stack, and the memo."""

    top: list[str | None] = field(default_factory=list)
    memo: dict[int, str | None] = field(default_factory=dict)

    def follow(self, name: str, argument: Any) -> None:
        """Take one opcode into account; whatever is not text counts as unknown."""
        last = self.top[-1] if self.top else None
        if name in STORES:
            self.memo[int(argument)] = last
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = last
        elif name in TEXTS:
            self.top.append(str(argument))
        else:
            self.top.append(self.memo.get(int(argument)) if name in FETCHES else None)
        del self.top[:-2]

    def name(self) -> str:
        """Module and name as STACK_GLOBAL would take them."""
        module, attribute = [None, None, *self.top][-2:]
        return UNREADABLE if module is None or attribute is None else f"{module}.{attribute}"


def names_in_pickle(content: bytes) -> set[str]:
    """Dotted names of everything that a pickle imports when it is read.

    A name that cannot be told without running the pickle is given as :data:`UNREADABLE`.

    Raises:
        ValueError: It is not a pickle, or more than one.
    """
    found: set[str] = set()
    texts = _Texts()
    end = -1
    for opcode, argument, position in pickletools.genops(content):
        if opcode.name in ("GLOBAL", "INST"):
            found.add(str(argument).replace(" ", ".", 1))
        elif opcode.name == "STACK_GLOBAL":
            found.add(texts.name())
        elif opcode.name in BY_NUMBER:
            found.add(UNREADABLE)
        texts.follow(opcode.name, argument)
        end = int(position or 0) + 1
    if end != len(content):
        raise ValueError(f"{len(content) - end} bytes behind the end of the pickle")
    return found
