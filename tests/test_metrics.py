"""Metrics against values worked out by hand."""
import math

import pytest

import numtorch as nt
from numtorch import metrics as M

PREDS, TARGET = nt.tensor([0, 2, 1, 0, 0, 1]), nt.tensor([0, 1, 2, 0, 1, 1])


def test_classes():
    assert M.accuracy(PREDS, TARGET) == 0.5
    scores = nt.tensor([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    assert M.accuracy(scores, [1, 2]) == 0.5 and M.accuracy(scores, [2, 2], topk=2) == 1.0
    assert M.confusion_matrix(PREDS, TARGET).tolist() == [[2, 0, 0], [1, 1, 1], [0, 1, 0]]
    assert M.precision(PREDS, TARGET, None).tolist() == [pytest.approx(2 / 3), 0.5, 0]
    assert M.recall(PREDS, TARGET, None).tolist() == [1, pytest.approx(1 / 3), 0]
    assert M.f1_score(PREDS, TARGET, None).tolist() == pytest.approx([0.8, 0.4, 0])
    assert M.f1_score(PREDS, TARGET) == pytest.approx(0.4)
    assert M.f1_score(PREDS, TARGET, "weighted") == pytest.approx((2 * 0.8 + 3 * 0.4) / 6)
    assert M.f1_score(PREDS, TARGET, "micro") == M.precision(PREDS, TARGET, "micro") == 0.5
    assert M.precision([1, 1, 0], [1, 0, 0], "binary") == 0.5
    assert M.recall([1, 1, 0], [1, 0, 0], "binary") == 1
    assert M.fbeta_score([1, 1, 0], [1, 0, 0], 2.0, "binary") == pytest.approx(5 * 0.5 / (4 * 0.5 + 1))
    assert M.f1_score([5, 7], [5, 7]) == 1  # classes that do not occur do not count
    assert M.recall([0, 0], [0, 0], "binary") == 0
    with pytest.raises(ValueError, match="Target is multiclass but average='binary'"):
        M.f1_score(PREDS, TARGET, "binary")
    with pytest.raises(ValueError, match="predictions of shape"):
        M.accuracy([1, 2], [1])
    with pytest.raises(ValueError, match="classes are 0 … 1"):
        M.confusion_matrix(PREDS, TARGET, 2)


def test_perplexity():
    logits = nt.log(nt.tensor([[[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]]))
    assert M.perplexity(logits, nt.tensor([[0, 1]])) == pytest.approx(math.sqrt(2 * 8))
    assert M.perplexity(logits, nt.tensor([[0, -100]])) == pytest.approx(2)
    assert M.perplexity(nt.zeros(7, 50), nt.arange(7)) == pytest.approx(50)


def test_bleu():
    assert M.tokenize_13a('He said: "1,000.5 &amp; no-one..."') == [
        "He", "said", ":", '"', "1,000.5", "&", "no-one", ".", ".", ".", '"']
    one = M.bleu(["the cat sat on the mat"], [["the cat sat on the mat"]])
    assert one.score == pytest.approx(100) and one.bp == 1
    # 1-grams 5 of 6, 2-grams 3 of 5, 3-grams 1 of 4, 4-grams none of 3: half of one by smoothing
    some = M.bleu(["the cat is on the mat"], [["the cat sat on the mat"]])
    assert some.precisions == pytest.approx([500 / 6, 60, 25, 100 / 6])
    assert some.score == pytest.approx(100 * (5 / 6 * 3 / 5 * 1 / 4 / 6) ** 0.25)
    short = M.bleu(["a b c d"], [["a b c d e f", "a b c d e f g h"]])
    assert short.score == pytest.approx(100 * math.exp(1 - 6 / 4)) and short.ref_len == 6
    assert M.bleu(["the the the"], [["the cat"]], max_order=1).precisions == [pytest.approx(100 / 3)]
    assert M.bleu(["x"], [["y"]]).score == 0 and M.bleu([""], [["y"]]).score == 0
    assert M.bleu(["the cat is on the mat"], [["the cat sat on the mat"]], smooth="none").score == 0
    with pytest.raises(TypeError, match="lists of strings"):
        M.bleu(["x"], ["y"])


def test_rouge():
    got = M.rouge("The cat is on the mat.", "the cat sat on the mat",
                  ("rouge1", "rouge2", "rougeL", "rougeLsum"))
    assert got["rouge1"] == pytest.approx((5 / 6, 5 / 6, 5 / 6))
    assert got["rouge2"].fmeasure == pytest.approx(3 / 5)
    assert got["rougeL"].recall == got["rougeLsum"].recall == pytest.approx(5 / 6)
    # the line w1 … w5 with w1 w2 x and y w3 w1 w5: the union is w1 w2 w3 w5 (Lin 2004, 3.2)
    lines = M.rouge("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5", ("rougeLsum",))["rougeLsum"]
    assert lines.recall == pytest.approx(4 / 5) and lines.precision == pytest.approx(4 / 10)
    assert M.rouge("", "x")["rouge1"] == (0, 0, 0)
    with pytest.raises(ValueError, match="Invalid rouge type"):
        M.rouge("a", "b", ("rougeX",))
