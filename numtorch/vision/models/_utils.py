"""What models share: channels that divide well, layers read from the middle of a model."""
from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ... import Tensor, nn

__all__ = ["IntermediateLayerGetter"]


def _make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    "The multiple of `divisor` nearest to v, at least min_value, not more than 10 % below v."
    out = max(min_value or divisor, int(v + divisor / 2) // divisor * divisor)
    return out + divisor if out < 0.9 * v else out


def init_he(model: nn.Module, mode: str = "fan_out", nonlinearity: str = "leaky_relu",
            linear: float | None = None) -> None:
    """Convolutions: He et al.'s normal distribution, zero bias; norms: one and zero; linear: N(0, linear)."""
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode=mode, nonlinearity=nonlinearity)
            if m.bias is not None:
                nn.init.zeros_(m.bias)
        elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.ones_(m.weight)
            nn.init.zeros_(m.bias)
        elif isinstance(m, nn.Linear) and linear is not None:
            nn.init.normal_(m.weight, 0, linear)
            nn.init.zeros_(m.bias)


class IntermediateLayerGetter(nn.ModuleDict):
    """The children of `model` up to the last of return_layers; forward gives {new name: output}."""

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        children = dict(model.named_children())
        if not set(return_layers) <= set(children):
            raise ValueError("return_layers are not present in model")
        wanted, layers = {str(k): str(v) for k, v in return_layers.items()}, OrderedDict()
        left = set(wanted)
        for name, child in children.items():
            layers[name] = child
            left.discard(name)
            if not left:
                break
        super().__init__(layers)
        self.return_layers = wanted

    def forward(self, x: Tensor) -> Any:
        """Return the outputs asked for, in order."""
        out = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                out[self.return_layers[name]] = x
        return out
