"""Blocks and operations of image models."""
from .boxes import (
           batched_nms,
           box_area,
           box_convert,
           box_iou,
           clip_boxes_to_image,
           complete_box_iou,
           distance_box_iou,
           generalized_box_iou,
           masks_to_boxes,
           nms,
           remove_small_boxes,
)
from .focal_loss import (
           complete_box_iou_loss,
           distance_box_iou_loss,
           generalized_box_iou_loss,
           sigmoid_focal_loss,
)
from .misc import (
           MLP,
           Conv2dNormActivation,
           Conv3dNormActivation,
           ConvNormActivation,
           FrozenBatchNorm2d,
           Permute,
           SqueezeExcitation,
)
from .stochastic_depth import (
           DropBlock2d,
           DropBlock3d,
           StochasticDepth,
           drop_block2d,
           drop_block3d,
           stochastic_depth,
)

__all__ = ["Conv2dNormActivation", "Conv3dNormActivation", "ConvNormActivation", "DropBlock2d", "DropBlock3d",
           "FrozenBatchNorm2d", "MLP", "Permute", "SqueezeExcitation", "StochasticDepth", "batched_nms",
           "box_area", "box_convert", "box_iou", "clip_boxes_to_image", "complete_box_iou",
           "complete_box_iou_loss", "distance_box_iou", "distance_box_iou_loss", "drop_block2d",
           "drop_block3d", "generalized_box_iou", "generalized_box_iou_loss", "masks_to_boxes", "nms",
           "remove_small_boxes", "sigmoid_focal_loss", "stochastic_depth"]
