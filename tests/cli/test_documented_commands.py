"""Each command line that the help texts, README and docs print is one that the program takes."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from impulse_nnunet.cli.flags import check_flags
from impulse_nnunet.cli.main import COMMANDS, _parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
IN_A_LINE = re.compile(r"`(impulse_nnunet [^`]+)`")


def commands_of(text):
    """Complete command lines: of code blocks, joined where they go on; the shell's own signs end them."""
    joined = text.replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines()]
    found = [line for line in lines if line.startswith("impulse_nnunet ")] + IN_A_LINE.findall(joined)
    for line in found:
        words = shlex.split(re.split(r"[;|>&]| \(", line)[0], comments=True)
        if len(words) > 2 and words[1] in COMMANDS:
            yield words[1:]


def parsers_of(parser, words):
    """The parsers that see a command line: of ``submit`` also that of the command it shares out."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            chosen = next(word for word in words if word in action.choices)
            yield from parsers_of(action.choices[chosen], words[words.index(chosen) + 1 :])
            if parser.prog.endswith("submit"):
                yield from parsers_of(_parser([chosen]), words[words.index(chosen) :])


def flags_that_are_unknown(words):
    parser = _parser(words)
    check_flags(parser, words)
    seen = list(parsers_of(parser, words))
    known = {flag for one in seen for action in one._actions for flag in action.option_strings}
    flags = [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    return [flag for flag in flags if flag not in known]


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_of_the_help_are_taken(command):
    found = list(commands_of(importlib.import_module(f"impulse_nnunet.cli.{command}").EXAMPLES))
    assert [(words, unknown) for words in found if (unknown := flags_that_are_unknown(words))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_pages_are_taken(page):
    found = list(commands_of(page.read_text(encoding="utf-8")))
    assert [(words, unknown) for words in found if (unknown := flags_that_are_unknown(words))] == []
