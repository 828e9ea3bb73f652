"""Metrics against scikit-learn, sacrebleu and rouge-score."""
import random
import warnings

import numpy as np
import pytest

from numtorch import metrics as M


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("classes", [2, 5, 12])
def test_classes(seed, classes):
    sk = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    p, t = rng.integers(0, classes, (2, 15 + 10 * seed))
    assert M.accuracy(p, t) == pytest.approx(sk.accuracy_score(t, p))
    want = sk.confusion_matrix(t, p, labels=range(classes))
    assert (M.confusion_matrix(p, t, classes).numpy() == want).all()
    for average in ["macro", "micro", "weighted", None] + (["binary"] if classes == 2 else []):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = sk.precision_recall_fscore_support(t, p, average=average, zero_division=0)[:3]
            half = sk.fbeta_score(t, p, beta=0.5, average=average, zero_division=0)
        got = [np.asarray(f(p, t, average)) for f in (M.precision, M.recall, M.f1_score)]
        np.testing.assert_allclose(got, want)
        np.testing.assert_allclose(np.asarray(M.fbeta_score(p, t, 0.5, average)), half)


def sentences(seed):
    rng = random.Random(seed)
    words = ('the cat, sat on a mat. "Yes!" 3.5 1,000 co-op &amp; dog runs (fast) U.S. '
             "10-12 it's $5 50% a/b").split()

    def line(n):
        return " ".join(rng.choice(words) for _ in range(n))

    refs = [[line(rng.randint(1, 14)) for _ in range(2)] for _ in range(8)]
    hyps = [" ".join(w if rng.random() < 0.8 else rng.choice(words)
                     for w in r[0].split()[:rng.randint(1, 14)]) for r in refs]
    return hyps, refs


@pytest.mark.parametrize("seed", range(12))
def test_bleu(seed):
    sacrebleu = pytest.importorskip("sacrebleu")
    hyps, refs = sentences(seed)
    for n in (1, 8):
        for smooth in ("exp", "none"):
            want = sacrebleu.corpus_bleu(hyps[:n], [[r[k] for r in refs[:n]] for k in range(2)],
                                         smooth_method=smooth)
            got = M.bleu(hyps[:n], refs[:n], smooth=smooth)
            assert got.score == pytest.approx(want.score) and (got.sys_len, got.ref_len) == (want.sys_len,
                                                                                             want.ref_len)
            assert got.bp == pytest.approx(want.bp)


@pytest.mark.parametrize("seed", range(12))
def test_rouge(seed):
    scorer = pytest.importorskip("rouge_score.rouge_scorer")
    hyps, refs = sentences(seed)
    kinds = ["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"]
    a, b = "\n".join(hyps), "\n".join(r[1] for r in refs)
    for prediction, reference in [(a, b), *((h, r[0]) for h, r in zip(hyps, refs))]:
        want = scorer.RougeScorer(kinds).score(reference, prediction)
        got = M.rouge(prediction, reference, kinds)
        for k in kinds:
            assert got[k] == pytest.approx(tuple(want[k])), k
