"""GPT-2 (Radford et al. 2019) under Hugging Face's parameter names."""
from __future__ import annotations

import math
from typing import Any

from .. import Tensor, arange, cat, empty, multinomial, nn, no_grad, ones, zeros
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

__all__ = ["GPT2Config", "GPT2ForSequenceClassification", "GPT2LMHeadModel", "GPT2Model"]


class GPT2Config(Config):
    """Settings of GPT-2; the defaults are gpt2's (124 million parameters)."""

    model_type = "gpt2"
    defaults = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
                "n_inner": None, "activation_function": "gelu_new", "resid_pdrop": 0.1, "embd_pdrop": 0.1,
                "attn_pdrop": 0.1, "layer_norm_epsilon": 1e-5, "initializer_range": 0.02,
                "bos_token_id": 50256, "eos_token_id": 50256}
    aliases = {"hidden_size": "n_embd", "max_position_embeddings": "n_positions",
               "num_attention_heads": "n_head", "num_hidden_layers": "n_layer"}


class Conv1D(nn.Module):
    """x weight + bias: a linear layer whose weight is (in, out)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(empty(nx, nf))
        self.bias = nn.Parameter(zeros(nf))

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        return x @ self.weight + self.bias


class GPT2Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        n = config.n_embd
        inner = config.n_inner if config.n_inner is not None else 4 * n
        if n % config.n_head:
            raise ValueError(f"`embed_dim` must be divisible by num_heads (got `embed_dim`: {n} and "
                             f"`num_heads`: {config.n_head}).")
        self.heads, self.p = config.n_head, config.attn_pdrop
        self.ln_1 = nn.LayerNorm(n, eps=config.layer_norm_epsilon)
        self.attn = nn.Module()
        self.attn.c_attn = Conv1D(3 * n, n)
        self.attn.c_proj = Conv1D(n, n)
        self.ln_2 = nn.LayerNorm(n, eps=config.layer_norm_epsilon)
        self.mlp = nn.Module()
        self.mlp.c_fc = Conv1D(inner, n)
        self.mlp.c_proj = Conv1D(n, inner)
        self.dropout = nn.Dropout(config.resid_pdrop)
        self.act = ACTIVATIONS[config.activation_function]

    def forward(self, x: Tensor, past: tuple | None, mask: Tensor | None) -> tuple[Tensor, tuple]:
        """(x, (keys, values)); past: those of the places before; mask as in `GPT2Model._mask`."""
        q, k, v = self.attn.c_attn(self.ln_1(x)).chunk(3, dim=-1)
        k, v = apart(k, self.heads), apart(v, self.heads)
        if past is not None:
            k, v = cat([past[0], k], dim=2), cat([past[1], v], dim=2)
        causal = mask is None and q.shape[1] > 1
        seen = attention(q, k, v, self.heads, mask, self.p if self.training else 0.0, causal)
        x = x + self.dropout(self.attn.c_proj(seen))
        return x + self.dropout(self.mlp.c_proj(self.act(self.mlp.c_fc(self.ln_2(x))))), (k, v)


class GPT2Model(PreTrainedModel):
    """GPT-2 without a head. Results: last_hidden_state (N, S, n_embd), past_key_values."""

    config_class = GPT2Config
    extra = (".attn.bias", ".attn.masked_bias")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(GPT2Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.start()

    def start(self) -> None:
        """As of every model; what is added to the stream is drawn smaller by √(number of additions)."""
        super().start()
        for block in self.h:
            for layer in (block.attn.c_proj, block.mlp.c_proj):
                nn.init.normal_(layer.weight, 0.0, self.config.initializer_range
                                / math.sqrt(2 * self.config.n_layer))

    @staticmethod
    def _mask(attention_mask: Any, new: int, before: int, device: Any) -> Tensor | None:
        "What each of the `new` places may see of all; None: all that is not after it, the first place first."
        shown = padding_mask(attention_mask)
        if shown is None and (before == 0 or new == 1):
            return None
        past = ones(new, before + new, device=device).tril(before) > 0
        return past if shown is None else past & shown

    def forward(self, input_ids: Any = None, past_key_values: Any = None, attention_mask: Any = None,
                position_ids: Any = None, inputs_embeds: Any = None, use_cache: bool | None = None,
                output_hidden_states: bool = False, return_dict: bool | None = None) -> Any:
        """input_ids: (N, S); attention_mask: (N, before + S), 0 where padded."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("You must specify exactly one of input_ids or inputs_embeds")
        x = self.wte(input_ids) if inputs_embeds is None else inputs_embeds
        before = 0 if past_key_values is None else past_key_values[0][0].shape[2]
        if position_ids is None:
            position_ids = arange(before, before + x.shape[1], device=x.device)[None]
        mask = self._mask(attention_mask, x.shape[1], before, x.device)
        x = self.drop(x + self.wpe(position_ids))
        kept, states = [], [x]
        for i, block in enumerate(self.h):
            x, both = block(x, None if past_key_values is None else past_key_values[i], mask)
            kept.append(both)
            states.append(x)
        x = self.ln_f(x)
        states[-1] = x
        keep = not self.training if use_cache is None else use_cache
        return returned(ModelOutput(last_hidden_state=x, past_key_values=tuple(kept) if keep else None,
                                    hidden_states=tuple(states) if output_hidden_states else None),
                        return_dict)


class GPT2LMHeadModel(PreTrainedModel):
    """GPT-2 that scores the next word. labels: (N, S), the words themselves, -100 where not to learn."""

    config_class = GPT2Config
    prefix = "transformer"
    ties = {"lm_head.weight": "transformer.wte.weight"}
    extra = GPT2Model.extra

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.transformer = GPT2Model(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.tie_weights()

    def forward(self, input_ids: Any = None, past_key_values: Any = None, attention_mask: Any = None,
                position_ids: Any = None, inputs_embeds: Any = None, labels: Any = None,
                use_cache: bool | None = None, output_hidden_states: bool = False,
                return_dict: bool | None = None) -> Any:
        """Results: loss where labels are given, logits (N, S, words), past_key_values."""
        out = self.transformer(input_ids, past_key_values, attention_mask, position_ids, inputs_embeds,
                               use_cache, output_hidden_states)
        logits = self.lm_head(out[0])
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return returned(ModelOutput(loss=loss, logits=logits, past_key_values=out.past_key_values,
                                    hidden_states=out.hidden_states), return_dict)

    @no_grad()
    def generate(self, input_ids: Tensor, max_new_tokens: int = 20, do_sample: bool = False,
                 temperature: float = 1.0, top_k: int | None = None,
                 eos_token_id: int | None = None) -> Tensor:
        """Append the likeliest words, or with do_sample some of the top_k likeliest, until the end token."""
        if input_ids.shape[1] + max_new_tokens > self.config.n_positions:
            raise ValueError(f"{input_ids.shape[1]} + {max_new_tokens} tokens are more than n_positions="
                             f"{self.config.n_positions}")
        end = self.config.eos_token_id if eos_token_id is None else eos_token_id
        out, new, past = input_ids, input_ids, None
        done = zeros(input_ids.shape[0], 1, device=input_ids.device) > 0
        for _ in range(max_new_tokens):
            made = self(new, past, use_cache=True)
            scores, past = made.logits[:, -1], made.past_key_values
            if do_sample:
                scores = scores / temperature
                if top_k is not None:
                    least = scores.topk(min(top_k, scores.shape[-1])).values[:, -1:]
                    scores = scores.masked_fill(scores < least, -math.inf)
                new = multinomial(scores.softmax(-1), 1)
            else:
                new = scores.argmax(-1, keepdim=True)
            if end is not None:
                new = new.masked_fill(done, end)
                done = done | (new == end)
            out = cat([out, new], dim=1)
            if bool(done.all()):
                break
        return out


class GPT2ForSequenceClassification(PreTrainedModel):
    """GPT-2 that classifies texts by their last word that is not padding."""

    config_class = GPT2Config
    prefix = "transformer"
    extra = (*GPT2Model.extra, "lm_head.weight")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = GPT2Model(config)
        self.score = nn.Linear(config.n_embd, config.num_labels, bias=False)
        nn.init.normal_(self.score.weight, 0.0, config.initializer_range)

    def forward(self, input_ids: Any = None, past_key_values: Any = None, attention_mask: Any = None,
                position_ids: Any = None, inputs_embeds: Any = None, labels: Any = None,
                return_dict: bool | None = None) -> Any:
        """Results: loss where labels are given, logits (N, classes)."""
        out = self.transformer(input_ids, past_key_values, attention_mask, position_ids, inputs_embeds)
        logits = self.score(out[0])
        pad, n = self.config.pad_token_id, logits.shape[0]
        if pad is None and n != 1:
            raise ValueError("Cannot handle batch sizes > 1 if no padding token is defined.")
        if pad is None or input_ids is None:
            logits = logits[:, -1]
        else:
            place = arange(input_ids.shape[1], device=input_ids.device)
            logits = logits[arange(n, device=input_ids.device), (place * (input_ids != pad)).argmax(-1)]
        loss = None if labels is None else class_loss(logits, labels, self.config)
        return returned(ModelOutput(loss=loss, logits=logits), return_dict)
