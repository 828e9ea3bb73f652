"""Language models under Hugging Face's parameter names, read from its folders (config.json, weights)."""
from .bert import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel
from .distilbert import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    DistilBertModel,
)
from .gpt2 import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, GPT2Model
from .pretrained import Config, ModelOutput, PreTrainedModel

__all__ = ["BertConfig", "BertForMaskedLM", "BertForSequenceClassification", "BertModel", "Config",
           "DistilBertConfig", "DistilBertForMaskedLM", "DistilBertForSequenceClassification",
           "DistilBertModel", "GPT2Config", "GPT2ForSequenceClassification", "GPT2LMHeadModel", "GPT2Model",
           "ModelOutput", "PreTrainedModel"]
