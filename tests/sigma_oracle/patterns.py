"""Texts that a regular expression finds.

Enters: an expression. Leaves: a few texts, one for each branch and bound of it in turn. Python's own parser reads the
expression, so that what is walked here is a tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

try:
    from re import _constants as op
    from re import _parser as parser
except ImportError:  # Python before 3.11
    import sre_constants as op
    import sre_parse as parser

#: Characters for `.` and classes, in order of preference.
ALPHABET = "xA7-_ .:/@\u00e9\n" + "".join(map(chr, range(33, 127)))
VARIANTS = 4


def samples(pattern: str) -> Iterator[str]:
    """Some texts; the first takes the first branch and the fewest repetitions everywhere."""
    tree = parser.parse(pattern)
    yield from dict.fromkeys(written(tree, variant) for variant in range(VARIANTS))


def written(tree: Any, variant: int) -> str:
    return "".join(one(code, argument, variant) for code, argument in tree)


def one(code: Any, argument: Any, variant: int) -> str:
    """The text for one node; what looks around or anchors stands for nothing."""
    if code is op.LITERAL:
        return chr(argument)
    if code is op.NOT_LITERAL:
        return next(letter for letter in ALPHABET if letter != chr(argument))
    if code is op.ANY:
        return ALPHABET[variant]
    if code is op.IN:
        fitting = [letter for letter in ALPHABET if is_in(argument, letter)]
        return fitting[variant % len(fitting)]
    if code is op.BRANCH:
        branches = argument[1]
        return written(branches[variant % len(branches)], variant)
    if code in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, inner = argument
        count = min(least + variant, most)
        return written(inner, variant) * count
    if code is op.SUBPATTERN:
        return written(argument[-1], variant)
    return ""


def is_in(members: list[tuple[Any, Any]], letter: str) -> bool:
    """Whether a class has a letter."""
    negated = bool(members) and members[0][0] is op.NEGATE
    found = any(is_member(code, argument, letter) for code, argument in members)
    return found != negated


def is_member(code: Any, argument: Any, letter: str) -> bool:
    if code is op.LITERAL:
        return ord(letter) == argument
    if code is op.RANGE:
        low, high = argument
        return low <= ord(letter) <= high
    if code is op.CATEGORY:
        name = str(argument).lower()
        kinds = {"digit": str.isdigit, "space": str.isspace, "word": lambda text: text.isalnum() or text == "_"}
        fits = next(kind(letter) for suffix, kind in kinds.items() if name.endswith(suffix)) and letter.isascii()
        return fits != ("not_" in name)
    return False
