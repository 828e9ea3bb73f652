"""The Vision Transformer (Dosovitskiy et al. 2020)."""
from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from ... import Tensor, cat, empty, nn, zeros
from ...nn import functional as F
from ..ops.misc import MLP, Conv2dNormActivation
from ._api import builder, published

__all__ = ["ViT_B_16_Weights", "ViT_B_32_Weights", "ViT_H_14_Weights", "ViT_L_16_Weights",
           "ViT_L_32_Weights", "VisionTransformer", "interpolate_embeddings", "vit_b_16", "vit_b_32",
           "vit_h_14", "vit_l_16", "vit_l_32"]

ViT_B_16_Weights = published("ViT_B_16_Weights", __name__)
ViT_B_32_Weights = published("ViT_B_32_Weights", __name__)
ViT_L_16_Weights = published("ViT_L_16_Weights", __name__)
ViT_L_32_Weights = published("ViT_L_32_Weights", __name__)
ViT_H_14_Weights = published("ViT_H_14_Weights", __name__)


class ConvStemConfig(NamedTuple):
    """One convolution of a stem."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: Callable = nn.BatchNorm2d
    activation_layer: Callable = nn.ReLU


class MLPBlock(MLP):
    """Two linear layers with GELU."""

    _version = 2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                nn.init.normal_(m.bias, std=1e-6)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, *args: Any) -> None:
        if local_metadata.get("version") in (None, 1):  # the layers were called linear_1 and linear_2
            for old, new in (("linear_1", "0"), ("linear_2", "3")):
                for kind in ("weight", "bias"):
                    key = f"{prefix}{old}.{kind}"
                    if key in state_dict:
                        state_dict[f"{prefix}{new}.{kind}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class EncoderBlock(nn.Module):
    """x + attention(norm x), then x + mlp(norm x)."""

    def __init__(self, num_heads: int, hidden_dim: int, mlp_dim: int, dropout: float,
                 attention_dropout: float,
                 norm_layer: Callable = partial(nn.LayerNorm, eps=1e-6)) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=attention_dropout,
                                                    batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        """(N, sequence, hidden) of the same shape."""
        if input.dim() != 3:
            raise RuntimeError(f"Expected (batch_size, seq_length, hidden_dim) got {input.shape}")
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Learnt positions added, the blocks, a norm."""

    def __init__(self, seq_length: int, num_layers: int, num_heads: int, hidden_dim: int, mlp_dim: int,
                 dropout: float, attention_dropout: float,
                 norm_layer: Callable = partial(nn.LayerNorm, eps=1e-6)) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(OrderedDict(
            (f"encoder_layer_{i}", EncoderBlock(num_heads, hidden_dim, mlp_dim, dropout, attention_dropout,
                                                norm_layer)) for i in range(num_layers)))
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        """(N, sequence, hidden) of the same shape."""
        if input.dim() != 3:
            raise RuntimeError(f"Expected (batch_size, seq_length, hidden_dim) got {input.shape}")
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Patches of an image as words, a class token before them, whose last state is classified."""

    def __init__(self, image_size: int, patch_size: int, num_layers: int, num_heads: int, hidden_dim: int,
                 mlp_dim: int, dropout: float = 0.0, attention_dropout: float = 0.0, num_classes: int = 1000,
                 representation_size: int | None = None,
                 norm_layer: Callable = partial(nn.LayerNorm, eps=1e-6),
                 conv_stem_configs: list[ConvStemConfig] | None = None) -> None:
        super().__init__()
        if image_size % patch_size:
            raise RuntimeError("Input shape indivisible by patch size!")
        self.image_size, self.patch_size, self.hidden_dim, self.mlp_dim = (image_size, patch_size, hidden_dim,
                                                                           mlp_dim)
        self.attention_dropout, self.dropout, self.num_classes = attention_dropout, dropout, num_classes
        self.representation_size, self.norm_layer = representation_size, norm_layer
        if conv_stem_configs is not None:
            self.conv_proj: nn.Module = nn.Sequential()
            channels = 3
            for i, c in enumerate(conv_stem_configs):
                self.conv_proj.add_module(f"conv_bn_relu_{i}", Conv2dNormActivation(
                    channels, c.out_channels, c.kernel_size, c.stride, norm_layer=c.norm_layer,
                    activation_layer=c.activation_layer))
                channels = c.out_channels
            self.conv_proj.add_module("conv_last", nn.Conv2d(channels, hidden_dim, kernel_size=1))
        else:
            self.conv_proj = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout,
                               attention_dropout, norm_layer)
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._start()

    def _start(self) -> None:
        "Patches: truncated normal by fan-in; the classifier: zero."
        if isinstance(self.conv_proj, nn.Conv2d):
            fan_in = self.conv_proj.in_channels * self.conv_proj.kernel_size[0] ** 2
            nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / fan_in))
            if self.conv_proj.bias is not None:
                nn.init.zeros_(self.conv_proj.bias)
        else:
            last = self.conv_proj.conv_last
            nn.init.normal_(last.weight, mean=0.0, std=math.sqrt(2.0 / last.out_channels))
            if last.bias is not None:
                nn.init.zeros_(last.bias)
        if hasattr(self.heads, "pre_logits"):
            first = self.heads.pre_logits
            nn.init.trunc_normal_(first.weight, std=math.sqrt(1 / first.in_features))
            nn.init.zeros_(first.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def _process_input(self, x: Tensor) -> Tensor:
        "(N, 3, H, W) → (N, patches, hidden)."
        n, _, h, w = x.shape
        if h != self.image_size:
            raise RuntimeError(f"Wrong image height! Expected {self.image_size} but got {h}!")
        if w != self.image_size:
            raise RuntimeError(f"Wrong image width! Expected {self.image_size} but got {w}!")
        return self.conv_proj(x).reshape(n, self.hidden_dim, -1).permute(0, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the classes."""
        x = self._process_input(x)
        x = self.encoder(cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1))
        return self.heads(x[:, 0])


def interpolate_embeddings(image_size: int, patch_size: int, model_state: OrderedDict[str, Tensor],
                           interpolation_mode: str = "bicubic", reset_heads: bool = False) -> Any:
    """Resize the learnt positions of a state to another image size; reset_heads leaves the classifier out."""
    pos = model_state["encoder.pos_embedding"]
    n, length, hidden = pos.shape
    if n != 1:
        raise ValueError(f"Unexpected position embedding shape: {pos.shape}")
    side = image_size // patch_size
    if side ** 2 + 1 == length:
        return model_state
    old = math.isqrt(length - 1)
    if old * old != length - 1:
        raise ValueError(f"seq_length is not a perfect square! Instead got seq_length_1d * seq_length_1d = "
                         f"{old * old} and seq_length = {length - 1}")
    grid = pos[:, 1:].permute(0, 2, 1).reshape(1, hidden, old, old)
    grid = F.interpolate(grid, size=side, mode=interpolation_mode, align_corners=True)
    new = grid.reshape(1, hidden, side * side).permute(0, 2, 1)
    model_state["encoder.pos_embedding"] = cat([pos[:, :1], new], dim=1)
    if reset_heads:
        return OrderedDict((k, v) for k, v in model_state.items() if not k.startswith("heads"))
    return model_state


def _vit(patch: int, layers: int, heads: int, hidden: int, mlp: int, kwargs: dict) -> VisionTransformer:
    return VisionTransformer(**{"image_size": 224, "patch_size": patch, "num_layers": layers,
                                "num_heads": heads, "hidden_dim": hidden, "mlp_dim": mlp, **kwargs})


@builder(ViT_B_16_Weights, "IMAGENET1K_V1", sized=True)
def vit_b_16(**kwargs: Any) -> VisionTransformer:
    """ViT-B/16."""
    return _vit(16, 12, 12, 768, 3072, kwargs)


@builder(ViT_B_32_Weights, "IMAGENET1K_V1", sized=True)
def vit_b_32(**kwargs: Any) -> VisionTransformer:
    """ViT-B/32."""
    return _vit(32, 12, 12, 768, 3072, kwargs)


@builder(ViT_L_16_Weights, "IMAGENET1K_V1", sized=True)
def vit_l_16(**kwargs: Any) -> VisionTransformer:
    """ViT-L/16."""
    return _vit(16, 24, 16, 1024, 4096, kwargs)


@builder(ViT_L_32_Weights, "IMAGENET1K_V1", sized=True)
def vit_l_32(**kwargs: Any) -> VisionTransformer:
    """ViT-L/32."""
    return _vit(32, 24, 16, 1024, 4096, kwargs)


@builder(ViT_H_14_Weights, None, sized=True)
def vit_h_14(**kwargs: Any) -> VisionTransformer:
    """ViT-H/14."""
    return _vit(14, 32, 16, 1280, 5120, kwargs)
