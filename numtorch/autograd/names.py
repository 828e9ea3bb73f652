"""What PyTorch calls the tape's nodes, where an entry has another name than PyTorch's operator."""
from __future__ import annotations

_STEMS = {
    "square": "Pow", "to.copy": "ToCopy", "concatenate_tensors": "Cat", "stack_tensors": "Stack",
    "split_views": "Split", "reverse": "Flip", "rolled": "Roll", "embed.part": "SliceScatter",
    "largest_along": "Max", "smallest_along": "Min", "sorted_along": "Sort", "topk_along": "Topk",
    "kth_along": "Kthvalue", "median_along": "Median", "mode_along": "Mode", "median_of_all": "Median",
    "running_max": "Cummax", "running_min": "Cummin", "batched_matmul": "Bmm",
    "vector_norm": "LinalgVectorNorm", "invert": "LinalgInvEx", "solve_matrix": "LinalgSolveEx",
    "triangular_solution": "LinalgSolveTriangular", "determinant": "LinalgDet",
    "sign_and_log": "LinalgSlogdet", "lower_factor": "LinalgCholeskyEx", "orthogonal_factor": "LinalgQr",
    "symmetric_pairs": "LinalgEigh", "singular_values": "LinalgSvd", "scatter_tensor": "Scatter",
    "index_put_values": "IndexPut", "gelu_erf": "Gelu", "gelu_tanh": "Gelu", "silu_terms": "Silu",
    "mish_terms": "Mish", "elu_terms": "Elu", "softplus_terms": "Softplus", "logsigmoid_terms": "LogSigmoid",
    "hardsigmoid_terms": "Hardsigmoid", "hardswish_terms": "Hardswish", "softshrink_terms": "Softshrink",
    "hardshrink_terms": "Hardshrink", "prelu_terms": "PreluKernel", "leaky": "LeakyRelu",
    "bounded": "Hardtanh", "above": "Threshold", "softmax_along": "Softmax",
    "log_softmax_along": "LogSoftmax", "embedding_rows": "Embedding", "nll_loss_terms": "NllLoss",
    "binary_cross_entropy_terms": "BinaryCrossEntropy", "row_norm": "NativeLayerNorm",
    "batch_norm_train": "NativeBatchNorm", "unfold_blocks": "Im2Col", "fold_blocks": "Col2Im",
    "pair_distances": "CdistForward"}

NODES = {entry: stem + "Backward0" for entry, stem in _STEMS.items()}
NODES.update(copy_slices="torch::autograd::CopySlices", copy_="torch::autograd::CopyBackwards",
             scatter_number="ScatterBackward1", index_fill_number="IndexFillBackward0")
