"""torch.utils.tensorboard.writer: where PyTorch keeps SummaryWriter."""
from . import SummaryWriter

__all__ = ["SummaryWriter"]
