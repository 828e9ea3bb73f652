"""Configurations, outputs, and models that are read from a folder of config.json and weights."""
from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from .. import Tensor, long, nn
from .. import int as int_
from ..nn import functional as F
from ..safetensors_io import load_file, save_file
from ..serialization import load

__all__ = ["Config", "ModelOutput", "PreTrainedModel"]

ACTIVATIONS = {"gelu": F.gelu, "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
               "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu, "silu": F.silu,
               "swish": F.silu, "tanh": lambda x: x.tanh()}


class Config:
    """Settings of a model as attributes; `defaults` of a subclass are those not given."""

    model_type = ""
    defaults: dict[str, Any] = {}
    # Names that other models use for the same thing.
    aliases: dict[str, str] = {}

    def __init__(self, **settings: Any) -> None:
        shared = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None, "problem_type": None,
                  "tie_word_embeddings": True, "architectures": None}
        labels = settings.pop("num_labels", None)
        for name, value in {**shared, **self.defaults, **settings}.items():
            setattr(self, self.aliases.get(name, name), value)
        found = settings.get("id2label")
        if found is None or labels is not None:
            found = {i: f"LABEL_{i}" for i in range(2 if labels is None else labels)}
        self.id2label = {int(k): v for k, v in found.items()}
        self.label2id = settings.get("label2id") if labels is None and settings.get("label2id") else {
            v: k for k, v in self.id2label.items()}

    def __getattr__(self, name: str) -> Any:
        own = type(self).aliases.get(name)
        if own is not None:
            return getattr(self, own)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def num_labels(self) -> int:
        """The number of classes."""
        return len(self.id2label)

    def to_dict(self) -> dict[str, Any]:
        """All settings."""
        return {"model_type": self.model_type, **self.__dict__}

    @classmethod
    def from_pretrained(cls, path: Any, **settings: Any) -> Config:
        """Read config.json of a folder; `settings` replace what it says."""
        with open(os.path.join(path, "config.json"), encoding="utf-8") as f:
            read = json.load(f)
        if cls.model_type and read.get("model_type", cls.model_type) != cls.model_type:
            raise ValueError(f"{path} holds a model of type {read['model_type']}, not {cls.model_type}")
        return cls(**{k: v for k, v in {**read, **settings}.items() if k != "model_type"})

    def save_pretrained(self, path: Any) -> None:
        """Write config.json into a folder."""
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as f:
            json.dump({k: v for k, v in self.to_dict().items() if k[:1] != "_"}, f, indent=2, sort_keys=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__} {json.dumps(self.to_dict(), indent=2, sort_keys=True, default=str)}"


class ModelOutput(OrderedDict):
    """Results by name, as attributes and by place; those that are None are left out."""

    def __init__(self, **values: Any) -> None:
        super().__init__((k, v) for k, v in values.items() if v is not None)
        self.__dict__.update(values)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple:
        """The results in order."""
        return tuple(self.values())


def _read(path: str) -> dict[str, Tensor]:
    "The tensors of a folder: safetensors or .bin, in one file or several with an index. Nothing is executed."
    for name, read in (("model.safetensors", load_file), ("pytorch_model.bin", None)):
        def tensors(file: str, read: Any = read) -> dict[str, Tensor]:
            return read(file) if read else load(file, map_location="cpu", weights_only=True)
        file, index = os.path.join(path, name), os.path.join(path, name + ".index.json")
        if os.path.isfile(file):
            return tensors(file)
        if os.path.isfile(index):
            with open(index, encoding="utf-8") as f:
                parts = sorted(set(json.load(f)["weight_map"].values()))
            out: dict[str, Tensor] = {}
            for part in parts:
                if os.path.basename(part) != part:
                    raise ValueError(f"{index} names a file outside of its folder: {part!r}")
                out.update(tensors(os.path.join(path, part)))
            return out
    raise OSError(f"Error no file named model.safetensors, or pytorch_model.bin, found in directory {path}.")


class PreTrainedModel(nn.Module):
    """A model made from a Config.

    prefix: the attribute under which a model with a head keeps the model without; files of either are
    read by both. ties: {name of a parameter: name of the one it is}. extra: ends of names in old files
    that are ignored.
    """

    config_class: Any = Config
    prefix = ""
    ties: dict[str, str] = {}
    extra: tuple[str, ...] = ()

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def start(self) -> None:
        """Draw the first weights (N(0, initializer_range)), and tie those that are one."""
        std = self.config.initializer_range
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)) or type(m).__name__ == "Conv1D":
                nn.init.normal_(m.weight, 0.0, std)
                if getattr(m, "bias", None) is not None:
                    nn.init.zeros_(m.bias)
                if isinstance(m, nn.Embedding) and m.padding_idx is not None:
                    nn.init.zeros_(m.weight[m.padding_idx])
        self.tie_weights()

    def tie_weights(self) -> None:
        """Make tied parameters one."""
        if not self.config.tie_word_embeddings:
            return
        for name, source in self.ties.items():
            owner, _, last = name.rpartition(".")
            setattr(self.get_submodule(owner), last, self.get_parameter(source))

    @property
    def device(self) -> Any:
        """Where the parameters are."""
        return next(self.parameters()).device

    @classmethod
    def from_pretrained(cls, path: Any, config: Any = None, **settings: Any) -> Any:
        """Read a folder with config.json and weights; the model is in evaluation mode.

        settings replace those of the configuration (num_labels=3). Parameters of a new head that the files
        lack keep their first weights, with a warning. ValueError: a shape differs."""
        path = os.path.expanduser(os.fspath(path))
        if not os.path.isdir(path):
            raise OSError(f"{path!r} is not a folder; a model is read from a folder with config.json and "
                          "weights")
        config = config or cls.config_class.from_pretrained(path, **settings)
        model = cls(config)
        model.load_tensors(_read(path))
        return model.eval()

    def load_tensors(self, read: Mapping[str, Tensor]) -> None:
        """Copy tensors by name, with or without the prefix, also under old names (LayerNorm.gamma)."""
        own = self.state_dict()
        inner = self.prefix + "." if self.prefix else ""
        unused, found = [], set()
        for key, value in read.items():
            name = key
            for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
                if name.endswith("LayerNorm" + old):
                    name = name.removesuffix(old) + new
            if name not in own:
                if inner and inner + name in own:
                    name = inner + name
                elif not inner and name.partition(".")[2] in own:
                    name = name.partition(".")[2]
            if name not in own:
                if not name.endswith(self.extra + ("position_ids",)):
                    unused.append(key)
                continue
            if own[name].shape != value.shape:
                raise ValueError(f"{key} has shape {list(value.shape)}, the model {list(own[name].shape)}")
            own[name].copy_(value)
            found.add(name)
        tied = {k for k, v in self.ties.items() if v in found and self.config.tie_word_embeddings}
        missing = sorted(set(own) - found - tied)
        self.tie_weights()
        if missing:
            import warnings
            warnings.warn(f"Some weights of {type(self).__name__} were not initialized from the model "
                          f"checkpoint and are newly initialized: {missing}\nYou should probably TRAIN "
                          "this model on a down-stream task to be able to use it for predictions and "
                          "inference.")
        self._unused = unused

    def save_pretrained(self, path: Any) -> None:
        """Write config.json and model.safetensors into a folder."""
        self.config.architectures = [type(self).__name__]
        self.config.save_pretrained(path)
        tied = self.ties if self.config.tie_word_embeddings else {}
        save_file({k: v.detach().clone().contiguous() for k, v in self.state_dict().items() if k not in tied},
                  os.path.join(path, "model.safetensors"), metadata={"format": "pt"})


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None, dropout: float,
              causal: bool = False) -> Tensor:
    """softmax(q kᵀ / √d) v for q (N, S, heads d) and k, v (N, heads, T, d); mask: (N, heads, S, T)."""
    q = apart(q, heads)
    out = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=causal)
    return out.transpose(1, 2).flatten(2)


def apart(x: Tensor, heads: int) -> Tensor:
    """(N, S, heads d) → (N, heads, S, d)."""
    return x.unflatten(-1, (heads, x.shape[-1] // heads)).transpose(1, 2)


def padding_mask(attention_mask: Tensor | None) -> Tensor | None:
    """(N, T) of ones and zeros → (N, 1, 1, T), true where to look; None where nothing is padded."""
    if attention_mask is None or bool((attention_mask != 0).all()):
        return None
    return (attention_mask != 0)[:, None, None, :]


def class_loss(logits: Tensor, labels: Tensor, config: Any) -> Tensor:
    """The loss of a sequence's classes by config.problem_type, found from the labels where it is None."""
    if config.problem_type is None:
        config.problem_type = ("regression" if config.num_labels == 1 else "single_label_classification"
                               if labels.dtype in (long, int_) else "multi_label_classification")
    if config.problem_type == "regression":
        return F.mse_loss(logits.squeeze(), labels.squeeze())
    if config.problem_type == "single_label_classification":
        return F.cross_entropy(logits.view(-1, config.num_labels), labels.view(-1))
    return F.binary_cross_entropy_with_logits(logits, labels)


def returned(out: ModelOutput, return_dict: bool | None) -> Any:
    """The output, as a tuple where return_dict is False."""
    return out.to_tuple() if return_dict is False else out
