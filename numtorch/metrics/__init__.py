"""How good predictions are: of classes, of the next word, of translations and summaries."""
from .classes import accuracy, confusion_matrix, f1_score, fbeta_score, perplexity, precision, recall
from .text import BLEUScore, RougeScore, bleu, rouge, tokenize_13a

__all__ = ["BLEUScore", "RougeScore", "accuracy", "bleu", "confusion_matrix", "f1_score", "fbeta_score",
           "perplexity", "precision", "recall", "rouge", "tokenize_13a"]
