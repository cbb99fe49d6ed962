"""Scores free text: equality, the words that both texts share, ROUGE-L and chrF."""

import re
import unicodedata
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

from callbacks.shared.tasks.answers import after_thoughts
from callbacks.shared.tasks.verdict import About, Row, Scorer, Verdict

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.chrf import CHRF

_WORD = re.compile(r"[぀-ヿ㐀-鿿豈-﫿]|[^\W_぀-ヿ㐀-鿿豈-﫿]+")
"""A word; of kana and Chinese characters, which are written without spaces, each is one."""
EXACT, NORMAL, TOKEN_F1 = "gen_exact_match", "gen_normalised_match", "gen_token_f1"
ROUGE, CHRF_ = "gen_rouge_l", "gen_chrf"


class TextScorer(Scorer):
    """An answer is free text. Each metric is the mean over the records."""

    about = About(
        headline=TOKEN_F1,
        metrics=(EXACT, NORMAL, TOKEN_F1, ROUGE, CHRF_),
        labels={EXACT: "exact", NORMAL: "normalised", TOKEN_F1: "token F1", ROUGE: "ROUGE-L", CHRF_: "chrF"},
        right="equal after normalisation",
    )

    def judge(self, row: Row) -> Verdict:
        expected, generated = after_thoughts(row["expected"]).strip(), after_thoughts(row["generated"]).strip()
        same = normal(expected) == normal(generated)
        f1 = token_f1(words(expected), words(generated))
        shares = {
            EXACT: (float(expected == generated), 1.0),
            NORMAL: (float(same), 1.0),
            TOKEN_F1: (f1, 1.0),
            ROUGE: (self._rouge.score(expected, generated)["rougeL"].fmeasure if words(expected) else float(same), 1.0),
            CHRF_: (self._chrf.sentence_score(generated, [expected]).score / 100 if expected else float(same), 1.0),
        }
        errors = [] if same else ["cut off" if row.get("is_cut") else f"token F1 {f1:.2f}"]
        return Verdict(shares, same, errors, 0.0 if same else 1.0 - f1 + 1e-9, columns={"token_f1": round(f1, 4)})

    @cached_property
    def _rouge(self) -> "RougeScorer":
        """Google's ROUGE (its own tokenizer knows ASCII alone)."""
        from rouge_score.rouge_scorer import RougeScorer

        return RougeScorer(["rougeL"], tokenizer=_Words())

    @cached_property
    def _chrf(self) -> "CHRF":
        """sacrebleu's chrF2, of one record."""
        from sacrebleu.metrics.chrf import CHRF

        return CHRF()


class _Words:
    """rouge_score's protocol of a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


def normal(text: str) -> str:
    """The form in which texts are compared: NFKC, case folded, words alone."""
    return " ".join(words(text)) or unicodedata.normalize("NFKC", text).strip()


def words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def token_f1(expected: list[str], generated: list[str]) -> float:
    """F1 of the words, as multisets; two texts without words are equal."""
    if not expected or not generated:
        return float(expected == generated)
    shared: Any = sum((Counter(expected) & Counter(generated)).values())
    return float(2 * shared / (len(expected) + len(generated)))
