"""BLEU (Papineni et al. 2002, sacrebleu's signature 13a, exp) and ROUGE (Lin 2004)."""
from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["BLEUScore", "RougeScore", "bleu", "rouge", "tokenize_13a"]

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_SPLITS = ((re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "), (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
           (re.compile(r"([.,])([^0-9])"), r" \1 \2"), (re.compile(r"([0-9])(-)"), r"\1 \2 "))


def tokenize_13a(line: str) -> list[str]:
    """Words and marks of a sentence, as NIST's mteval-v13a splits them."""
    line = line.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for old, new in _ENTITIES:
        line = line.replace(old, new)
    line = f" {line} "
    for pattern, by in _SPLITS:
        line = pattern.sub(by, line)
    return line.split()


def _grams(words: Sequence[str], n: int) -> Counter:
    return Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))


class BLEUScore(NamedTuple):
    """score and precisions 0 … 100, brevity penalty, lengths in words."""

    score: float
    precisions: list[float]
    bp: float
    sys_len: int
    ref_len: int


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]], max_order: int = 4,
         smooth: str = "exp", lowercase: bool = False,
         tokenize: Callable[[str], list[str]] = tokenize_13a) -> BLEUScore:
    """BLEU of a corpus. references: for each hypothesis its references, one or more.

    smooth: "exp" (an order without matches counts 1/2, 1/4, … match), "none"."""
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses but {len(references)} lists of references")
    if smooth not in ("exp", "none"):
        raise ValueError(f"smooth is 'exp' or 'none', not {smooth!r}")
    correct, total = [0] * max_order, [0] * max_order
    sys_len = ref_len = 0
    for hypothesis, given in zip(hypotheses, references):
        if isinstance(given, str):
            raise TypeError("references are lists of strings, one list for each hypothesis")
        texts = [hypothesis, *given]
        words, *refs = [tokenize((t.lower() if lowercase else t).rstrip()) for t in texts]
        sys_len += len(words)
        ref_len += min((len(r) for r in refs), key=lambda n: (abs(n - len(words)), n))
        for n in range(1, max_order + 1):
            most: Counter = Counter()
            for r in refs:
                most |= _grams(r, n)
            own = _grams(words, n)
            correct[n - 1] += sum((own & most).values())
            total[n - 1] += sum(own.values())
    bp = 1.0 if sys_len >= ref_len else math.exp(1 - ref_len / sys_len) if sys_len else 0.0
    parts, weight = [0.0] * max_order, 1.0
    if any(correct):
        for n in range(max_order):
            if not total[n]:
                break
            if correct[n]:
                parts[n] = 100.0 * correct[n] / total[n]
            elif smooth == "exp":
                weight *= 2
                parts[n] = 100.0 / (weight * total[n])
    score = bp * math.exp(sum(map(math.log, parts)) / max_order) if all(parts) else 0.0
    return BLEUScore(score, parts, bp, sys_len, ref_len)


class RougeScore(NamedTuple):
    """Of the prediction's words, of the reference's words, and 2 p r / (p + r); each 0 … 1."""

    precision: float
    recall: float
    fmeasure: float


def _score(hits: int, predicted: int, wanted: int) -> RougeScore:
    p, r = hits / max(predicted, 1), hits / max(wanted, 1)
    return RougeScore(p, r, 2 * p * r / (p + r) if p + r else 0.0)


def _words(text: str) -> list[str]:
    "Lower-case runs of letters and digits."
    return re.findall(r"[a-z0-9]+", text.lower())


def _lengths(a: Sequence[str], b: Sequence[str]) -> list[list[int]]:
    "At (i, j) the length of the longest common subsequence of the first i and j words."
    table = [[0] * (len(b) + 1)]
    for x in a:
        above, row = table[-1], [0]
        for j, y in enumerate(b):
            row.append(above[j] + 1 if x == y else max(above[j + 1], row[j]))
        table.append(row)
    return table


def _common(a: Sequence[str], b: Sequence[str]) -> set[int]:
    "Places in a of one longest common subsequence with b."
    table, i, j, out = _lengths(a, b), len(a), len(b), set()
    while i and j:
        if a[i - 1] == b[j - 1]:
            out.add(i - 1)
            i, j = i - 1, j - 1
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return out


def _by_lines(prediction: str, reference: str) -> RougeScore:
    "ROUGE-L of summaries: for each line of the reference the union of its subsequences with all lines."
    ours, theirs = ([_words(s) for s in text.split("\n") if s] for text in (prediction, reference))
    n, m = sum(map(len, ours)), sum(map(len, theirs))
    left, wanted, hits = Counter(w for s in ours for w in s), Counter(w for s in theirs for w in s), 0
    for line in theirs:
        for place in sorted(set().union(*(_common(line, s) for s in ours)) if ours else ()):
            word = line[place]
            if left[word] > 0 and wanted[word] > 0:
                hits += 1
                left[word] -= 1
                wanted[word] -= 1
    return _score(hits, n, m)


def rouge(prediction: str, reference: str,
          kinds: Sequence[str] = ("rouge1", "rouge2", "rougeL")) -> dict[str, RougeScore]:
    """ROUGE of one text: rougeN (runs of N words), rougeL (longest common subsequence), rougeLsum (by lines).

    Words are lower-case letters and digits, not stemmed."""
    p, r, out = _words(prediction), _words(reference), {}
    for kind in kinds:
        if kind == "rougeL":
            out[kind] = _score(_lengths(p, r)[-1][-1], len(p), len(r))
        elif kind == "rougeLsum":
            out[kind] = _by_lines(prediction, reference)
        elif re.fullmatch(r"rouge[1-9]", kind):
            a, b = _grams(p, int(kind[5])), _grams(r, int(kind[5]))
            out[kind] = _score(sum((a & b).values()), sum(a.values()), sum(b.values()))
        else:
            raise ValueError(f"Invalid rouge type: {kind}")
    return out
