"""What a language gives to the synthetic news records: its words, its sentences, and how it puts a person into them."""

from dataclasses import dataclass

Lead = tuple[str, str]
"""The title after an offender's name, and the sentence."""


@dataclass(frozen=True, eq=False)  # a language is only itself: full names are kept by it
class Language:
    """The words of one language.

    A slot in a sentence is named kind_suffix; the suffix distinguishes the people of an article. `offenders` is one slot for all
    offenders.
    """

    instruction: str
    keywords: tuple[str, ...]
    """The rule "one of these is in the article" must not be enough."""
    surnames: tuple[str, ...]
    given_names: tuple[str, ...]
    full_name: str
    """With the slots `surname` and `given`."""
    choices: dict[str, tuple[str, ...]]
    """Slot → what it may say: `city`, `agency`, `offence`, `job`."""
    offender: str
    """One offender, with the slots `job`, `name`, `title` and `age`."""
    between_offenders: str
    between_sentences: str
    leads_with_keyword: tuple[Lead, ...]
    leads_without_keyword: tuple[Lead, ...]
    nobody_with_keyword: tuple[str, ...]
    nobody_without_keyword: tuple[str, ...]
    people: tuple[str, ...]
    """Sentences about others; each names somebody."""
    other_asides: tuple[str, ...]
    aside_weights: tuple[int, int, int]
    """Weights of no, one and two asides."""
