"""The part of a model's text that is its answer."""

import re

_END_OF_THOUGHTS = re.compile(r"</(?:think|thinking|thought|reasoning)>")
_BEGIN_OF_THOUGHTS = re.compile(r"<(?:think|thinking|thought|reasoning)>")


def after_thoughts(text: str) -> str:
    """The text after the model's thoughts; empty if these do not end: then there is no answer."""
    ends = list(_END_OF_THOUGHTS.finditer(text))
    rest = text[ends[-1].end() :] if ends else text
    begun = _BEGIN_OF_THOUGHTS.search(rest)
    return rest[: begun.start()] if begun else rest
