"""DistilBERT (Sanh et al. 2019) under Hugging Face's parameter names."""
from __future__ import annotations

from typing import Any

from .. import Tensor, arange, nn
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

__all__ = ["DistilBertConfig", "DistilBertForMaskedLM", "DistilBertForSequenceClassification",
           "DistilBertModel"]


class DistilBertConfig(Config):
    """Settings of DistilBERT; the defaults are distilbert-base-uncased's."""

    model_type = "distilbert"
    defaults = {"vocab_size": 30522, "max_position_embeddings": 512, "n_layers": 6, "n_heads": 12, "dim": 768,
                "hidden_dim": 3072, "dropout": 0.1, "attention_dropout": 0.1, "activation": "gelu",
                "initializer_range": 0.02, "seq_classif_dropout": 0.2, "pad_token_id": 0}
    aliases = {"hidden_size": "dim", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers"}


class Embeddings(nn.Module):
    """Words and places added."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.dim, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.dim)
        self.LayerNorm = nn.LayerNorm(config.dim, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_ids: Any, inputs_embeds: Any) -> Tensor:
        """(N, S, dim)."""
        x = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        x = x + self.position_embeddings(arange(x.shape[1], device=x.device)[None])
        return self.dropout(self.LayerNorm(x))


class TransformerBlock(nn.Module):
    """Attention, then two linear layers; each added to what went in, and normed."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        if config.dim % config.n_heads:
            raise ValueError(f"config.n_heads {config.n_heads} must divide config.dim {config.dim} evenly")
        self.heads, self.p = config.n_heads, config.attention_dropout
        self.attention = nn.Module()
        for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
            setattr(self.attention, name, nn.Linear(config.dim, config.dim))
        self.sa_layer_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.ffn = nn.Module()
        self.ffn.dropout = nn.Dropout(config.dropout)
        self.ffn.lin1 = nn.Linear(config.dim, config.hidden_dim)
        self.ffn.lin2 = nn.Linear(config.hidden_dim, config.dim)
        self.output_layer_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.act = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(N, S, dim) of the same shape."""
        a = self.attention
        seen = attention(a.q_lin(x), apart(a.k_lin(x), self.heads), apart(a.v_lin(x), self.heads), self.heads,
                         mask, self.p if self.training else 0.0)
        x = self.sa_layer_norm(a.out_lin(seen) + x)
        return self.output_layer_norm(self.ffn.dropout(self.ffn.lin2(self.act(self.ffn.lin1(x)))) + x)


class DistilBertModel(PreTrainedModel):
    """DistilBERT without a head. Results: last_hidden_state (N, S, dim)."""

    config_class = DistilBertConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.transformer = nn.Module()
        self.transformer.layer = nn.ModuleList(TransformerBlock(config) for _ in range(config.n_layers))
        self.start()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, inputs_embeds: Any = None,
                output_hidden_states: bool = False, return_dict: bool | None = None) -> Any:
        """input_ids: (N, S); attention_mask: (N, S), 0 where padded."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("You must specify exactly one of input_ids or inputs_embeds")
        x = self.embeddings(input_ids, inputs_embeds)
        mask, states = padding_mask(attention_mask), [x]
        for layer in self.transformer.layer:
            x = layer(x, mask)
            states.append(x)
        return returned(ModelOutput(last_hidden_state=x,
                                    hidden_states=tuple(states) if output_hidden_states else None),
                        return_dict)


class DistilBertForMaskedLM(PreTrainedModel):
    """DistilBERT that scores words. labels: (N, S), -100 where there is nothing to guess."""

    config_class = DistilBertConfig
    prefix = "distilbert"
    ties = {"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"}

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.distilbert = DistilBertModel(config)
        self.vocab_transform = nn.Linear(config.dim, config.dim)
        self.vocab_layer_norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.vocab_projector = nn.Linear(config.dim, config.vocab_size)
        self.start()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, inputs_embeds: Any = None,
                labels: Any = None, output_hidden_states: bool = False,
                return_dict: bool | None = None) -> Any:
        """Results: loss where labels are given, logits (N, S, words)."""
        out = self.distilbert(input_ids, attention_mask, inputs_embeds, output_hidden_states)
        x = ACTIVATIONS[self.config.activation](self.vocab_transform(out[0]))
        logits = self.vocab_projector(self.vocab_layer_norm(x))
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return returned(ModelOutput(loss=loss, logits=logits, hidden_states=out.hidden_states), return_dict)


class DistilBertForSequenceClassification(PreTrainedModel):
    """DistilBERT that classifies texts. labels: (N,), or (N, classes) of floating-point type."""

    config_class = DistilBertConfig
    prefix = "distilbert"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.distilbert = DistilBertModel(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, config.num_labels)
        self.dropout = nn.Dropout(config.seq_classif_dropout)
        self.start()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, inputs_embeds: Any = None,
                labels: Any = None, output_hidden_states: bool = False,
                return_dict: bool | None = None) -> Any:
        """Results: loss where labels are given, logits (N, classes)."""
        out = self.distilbert(input_ids, attention_mask, inputs_embeds, output_hidden_states)
        logits = self.classifier(self.dropout(F.relu(self.pre_classifier(out[0][:, 0]))))
        loss = None if labels is None else class_loss(logits, labels, self.config)
        return returned(ModelOutput(loss=loss, logits=logits, hidden_states=out.hidden_states), return_dict)
