"""BERT (Devlin et al. 2018) under Hugging Face's parameter names."""
from __future__ import annotations

from typing import Any

from .. import Tensor, arange, nn, zeros, zeros_like
from ..nn import functional as F
from .pretrained import (
    ACTIVATIONS,
    Config,
    ModelOutput,
    PreTrainedModel,
    apart,
    attention,
    class_loss,
    padding_mask,
    returned,
)

__all__ = ["BertConfig", "BertForMaskedLM", "BertForSequenceClassification", "BertModel"]


class BertConfig(Config):
    """Settings of BERT; the defaults are bert-base-uncased's."""

    model_type = "bert"
    defaults = {"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                "intermediate_size": 3072, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
                "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 512, "type_vocab_size": 2,
                "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0,
                "classifier_dropout": None}


def _norm(config: Any) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


class BertEmbeddings(nn.Module):
    """Words, places and segments added."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        h = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, h, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, h)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, h)
        self.LayerNorm = _norm(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Any, token_type_ids: Any, position_ids: Any, inputs_embeds: Any) -> Tensor:
        """(N, S, hidden)."""
        x = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = arange(x.shape[1], device=x.device)[None]
        if token_type_ids is None:
            token_type_ids = zeros_like(position_ids)
        x = x + self.token_type_embeddings(token_type_ids) + self.position_embeddings(position_ids)
        return self.dropout(self.LayerNorm(x))


class BertSelfAttention(nn.Module):
    """Attention of every place to all."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        if config.hidden_size % config.num_attention_heads:
            raise ValueError(f"The hidden size ({config.hidden_size}) is not a multiple of the number of "
                             f"attention heads ({config.num_attention_heads})")
        self.heads, self.p = config.num_attention_heads, config.attention_probs_dropout_prob
        self.query, self.key, self.value = (nn.Linear(config.hidden_size, config.hidden_size) for _ in "qkv")

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(N, S, hidden) of the same shape."""
        return attention(self.query(x), apart(self.key(x), self.heads), apart(self.value(x), self.heads),
                         self.heads, mask, self.p if self.training else 0.0)


class BertOutput(nn.Module):
    """norm(dropout(dense(x)) + rest)."""

    def __init__(self, config: Any, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, config.hidden_size)
        self.LayerNorm = _norm(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, rest: Tensor) -> Tensor:
        """(N, S, hidden)."""
        return self.LayerNorm(self.dropout(self.dense(x)) + rest)


class BertLayer(nn.Module):
    """Attention, then two linear layers; each added to what went in, and normed."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = nn.Module()
        self.attention.self = BertSelfAttention(config)
        self.attention.output = BertOutput(config, config.hidden_size)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output = BertOutput(config, config.intermediate_size)
        self.act = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(N, S, hidden) of the same shape."""
        x = self.attention.output(self.attention.self(x, mask), x)
        return self.output(self.act(self.intermediate.dense(x)), x)


class BertModel(PreTrainedModel):
    """BERT without a head. Results: last_hidden_state (N, S, hidden), pooler_output (N, hidden)."""

    config_class = BertConfig

    def __init__(self, config: Any, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = BertEmbeddings(config)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))
        self.pooler: Any = None
        if add_pooling_layer:
            self.pooler = nn.Module()
            self.pooler.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.start()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None,
                position_ids: Any = None, inputs_embeds: Any = None, output_hidden_states: bool = False,
                return_dict: bool | None = None) -> Any:
        """input_ids: (N, S); attention_mask: (N, S), 0 where padded."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("You must specify exactly one of input_ids or inputs_embeds")
        x = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)
        mask, states = padding_mask(attention_mask), [x]
        for layer in self.encoder.layer:
            x = layer(x, mask)
            states.append(x)
        pooled = None if self.pooler is None else self.pooler.dense(x[:, 0]).tanh()
        return returned(ModelOutput(last_hidden_state=x, pooler_output=pooled,
                                    hidden_states=tuple(states) if output_hidden_states else None),
                        return_dict)


class BertForMaskedLM(PreTrainedModel):
    """BERT that scores words. labels: (N, S), -100 where there is nothing to guess."""

    config_class = BertConfig
    prefix = "bert"
    ties = {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias"}
    extra = ("pooler.dense.weight", "pooler.dense.bias", "seq_relationship.weight", "seq_relationship.bias")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.cls = nn.Module()
        self.cls.predictions = head = nn.Module()
        head.transform = nn.Module()
        head.transform.dense = nn.Linear(config.hidden_size, config.hidden_size)
        head.transform.LayerNorm = _norm(config)
        head.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        head.bias = nn.Parameter(zeros(config.vocab_size))
        self.start()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None,
                position_ids: Any = None, inputs_embeds: Any = None, labels: Any = None,
                output_hidden_states: bool = False, return_dict: bool | None = None) -> Any:
        """Results: loss where labels are given, logits (N, S, words)."""
        out = self.bert(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
                        output_hidden_states)
        head = self.cls.predictions
        x = head.transform.LayerNorm(ACTIVATIONS[self.config.hidden_act](head.transform.dense(out[0])))
        logits = head.decoder(x)
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return returned(ModelOutput(loss=loss, logits=logits, hidden_states=out.hidden_states), return_dict)


class BertForSequenceClassification(PreTrainedModel):
    """BERT that classifies a text or a pair of texts. labels: (N,), or (N, classes) of floating point."""

    config_class = BertConfig
    prefix = "bert"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config)
        p = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if p is None else p)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.start()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None,
                position_ids: Any = None, inputs_embeds: Any = None, labels: Any = None,
                output_hidden_states: bool = False, return_dict: bool | None = None) -> Any:
        """Results: loss where labels are given, logits (N, classes)."""
        out = self.bert(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds,
                        output_hidden_states)
        logits = self.classifier(self.dropout(out[1]))
        loss = None if labels is None else class_loss(logits, labels, self.config)
        return returned(ModelOutput(loss=loss, logits=logits, hidden_states=out.hidden_states), return_dict)
