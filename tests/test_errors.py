"""Bad input: PyTorch's exception type and first line, nothing lost, nothing of the machinery below in sight.

Each table holds pairs of lines: a statement, and the error that PyTorch 2.13 raised for it (`…` where the
words were cut). numtorch must raise the same type, and a message that begins with the same words."""
import io
import pickle
import re
import traceback

import numpy as np
import pytest

import numtorch as T
import numtorch.nn.functional as F
from numtorch import nn

CREATION = """
T.zeros(-1)
    RuntimeError: zeros: Dimension size must be non-negative.
T.zeros(2, -3)
    RuntimeError: zeros: Dimension size must be non-negative.
T.zeros(2.5)
    TypeError: zeros(): argument 'size' (position 1) must be tuple of ints, not float
T.zeros((2, 2.5))
    TypeError: zeros(): argument 'size' failed to unpack the object at pos 2 with error "type must be tupl …
T.zeros('a')
    TypeError: zeros(): argument 'size' (position 1) must be tuple of ints, not str
T.ones(2, dtype='float32')
    TypeError: ones(): argument 'dtype' must be torch.dtype, not str
T.full((2,), 'a')
    TypeError: full(): argument 'fill_value' (position 2) must be Number, not str
T.full((-2,), 1)
    RuntimeError: Trying to create tensor with negative dimension -2: [-2]
T.empty(-1)
    RuntimeError: Trying to create tensor with negative dimension -1: [-1]
T.eye(-1)
    RuntimeError: n must be greater or equal to 0, got -1
T.eye(2, -1)
    RuntimeError: m must be greater or equal to 0, got -1
T.arange(0, 5, 0)
    RuntimeError: step must be nonzero
T.arange(5, 0)
    RuntimeError: upper bound and lower bound inconsistent with step sign
T.arange(0, float('inf'))
    RuntimeError: unsupported range: 0 -> inf
T.linspace(0, 1, -1)
    RuntimeError: number of steps must be non-negative
T.logspace(0, 1, -1)
    RuntimeError: number of steps must be non-negative
T.tensor([[1, 2], [3]])
    ValueError: expected sequence of length 2 at dim 1 (got 1)
T.tensor('a')
    TypeError: new(): invalid data type 'str'
T.tensor([1, 'a'])
    TypeError: new(): invalid data type 'str'
T.tensor(None)
    RuntimeError: Could not infer dtype of NoneType
T.tensor([None])
    RuntimeError: Could not infer dtype of NoneType
T.tensor({})
    RuntimeError: Could not infer dtype of dict
T.tensor(2**70)
    ValueError: Overflow when unpacking long long
T.tensor([1.0], requires_grad=True, dtype=T.int64)
    RuntimeError: Only Tensors of floating point and complex dtype can require gradients
T.tensor(1, dtype=3)
    TypeError: tensor(): argument 'dtype' must be torch.dtype, not int
T.tensor([1, 2], requires_grad=True)
    RuntimeError: Only Tensors of floating point and complex dtype can require gradients
T.tensor(1j, dtype=T.float32)
    TypeError: must be real number, not complex
T.tensor(np.array(['a']))
    TypeError: can't convert np.ndarray of type numpy.str_. The only supported types are: float64, float32 …
T.from_numpy([1, 2])
    TypeError: expected np.ndarray (got list)
T.from_numpy(np.zeros(3)[::-1])
    ValueError: At least one stride in the given numpy array is negative, and tensors with negative stride …
T.from_numpy(np.array(['a', 'b']))
    TypeError: can't convert np.ndarray of type numpy.str_. The only supported types are: float64, float32 …
T.from_numpy(np.zeros(3, dtype='>f4'))
    ValueError: given numpy array has byte order different from the native byte order. Conversion between  …
T.zeros_like(3)
    TypeError: zeros_like(): argument 'input' (position 1) must be Tensor, not int
T.empty_strided((2, 3), (1,))
    RuntimeError: dimensionality of sizes (2) must match dimensionality of strides (1)
T.zeros(2, device='foo')
    RuntimeError: Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, …
T.device('cpu:x')
    RuntimeError: Invalid device string: 'cpu:x'
T.device('foo')
    RuntimeError: Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, …
T.device('cuda', 'x')
    TypeError: device(): argument 'index' (position 2) must be int, not str
T.zeros(2, foo=3)
    TypeError: zeros() got an unexpected keyword argument 'foo'
T.frombuffer(b'', dtype=T.float32)
    ValueError: both buffer length (0) and count (-1) must not be 0
T.complex(T.zeros(2), T.zeros(2, dtype=T.float64))
    RuntimeError: Expected object of scalar type Float but got scalar type Double for second argument
"""

VIEWS = """
T.zeros(6).view(4)
    RuntimeError: shape '[4]' is invalid for input of size 6
T.zeros(6).view(-1, -1)
    RuntimeError: only one dimension can be inferred
T.zeros(6).view(-1, 4)
    RuntimeError: shape '[-1, 4]' is invalid for input of size 6
T.zeros(6).view(-2, 3)
    RuntimeError: invalid shape dimension -2 at index 0 of shape [-2, 3]
T.zeros(2, 3).t().view(6)
    RuntimeError: view size is not compatible with input tensor's size and stride (at least one dimension  …
T.zeros(6).reshape(4, 2)
    RuntimeError: shape '[4, 2]' is invalid for input of size 6
T.zeros(0).reshape(-1, 0)
    RuntimeError: cannot reshape tensor of 0 elements into shape [-1, 0] because the unspecified dimension …
T.zeros(2, 3).permute(0)
    RuntimeError: permute(sparse_coo): number of dimensions in the tensor input does not match the length  …
T.zeros(2, 3).permute(0, 0)
    RuntimeError: permute(): duplicate dims are not allowed.
T.zeros(2, 3).permute(0, 2)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
T.zeros(2, 3).transpose(0, 2)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
T.zeros(2, 3, 4).t()
    RuntimeError: t() expects a tensor with <= 2 dimensions, but self is 3D
T.zeros(2, 3).expand(2, 4)
    RuntimeError: The expanded size of the tensor (4) must match the existing size (3) at non-singleton di …
T.zeros(2, 3).expand(3)
    RuntimeError: expand(torch.FloatTensor{[2, 3]}, size=[3]): the number of sizes provided (1) must be gr …
T.zeros(2, 3).expand(-1, 2, 3)
    RuntimeError: The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension 0
T.zeros(2, 3).narrow(0, 1, 2)
    RuntimeError: start (1) + length (2) exceeds dimension size (2).
T.zeros(2, 3).narrow(0, 5, 1)
    IndexError: start out of range (expected to be in range of [-2, 2], but got 5)
T.zeros(2, 3).narrow(0, 0, -1)
    RuntimeError: narrow(): length must be non-negative.
T.zeros(()).narrow(0, 0, 1)
    RuntimeError: narrow() cannot be applied to a 0-dim tensor.
T.zeros(2, 3).select(0, 2)
    IndexError: select(): index 2 out of range for tensor of size [2, 3] at dimension 0
T.zeros(()).select(0, 0)
    IndexError: select() cannot be applied to a 0-dim tensor.
T.zeros(2, 3).select(2, 0)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
T.zeros(2, 3).diagonal(0, 0, 0)
    RuntimeError: diagonal dimensions cannot be identical 0, 0
T.zeros(2, 3).diagonal(0, 0, 3)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 3)
T.zeros(2, 3).unfold(0, 3, 1)
    RuntimeError: maximum size for tensor at dimension 0 is 2 but size is 3
T.zeros(2, 3).unfold(0, 1, 0)
    RuntimeError: step is 0 but must be > 0
T.zeros(2, 3).unfold(0, -1, 1)
    RuntimeError: size is -1 but must be >= 0
T.zeros(6).as_strided((2, 3), (3,))
    RuntimeError: mismatch in length of strides and shape
T.zeros(6).as_strided((2, 3), (3, 2))
    RuntimeError: setStorage: sizes [2, 3], strides [3, 2], storage offset 0, and itemsize 4 requiring a s …
T.zeros(6).as_strided((2, 3), (-3, 1))
    RuntimeError: as_strided: Negative strides are not supported at the moment, got strides: [-3, 1]
T.zeros(6).as_strided((2, 3), (3, 1), 1)
    RuntimeError: setStorage: sizes [2, 3], strides [3, 1], storage offset 1, and itemsize 4 requiring a s …
T.zeros(6).as_strided((2, 3), (3, 1), -1)
    RuntimeError: Tensor: invalid storage offset -1
T.zeros(2, 3).chunk(0)
    RuntimeError: chunk expects `chunks` to be greater than 0, got: 0
T.zeros(2, 3).chunk(2, 5)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 5)
T.zeros(2, 3).split(0)
    RuntimeError: split_size can only be 0 if dimension size is 0, but got dimension size of 2
T.zeros(2, 3).split([1, 2])
    RuntimeError: split_with_sizes expects split_sizes to sum exactly to 2 (input tensor's size at dimensi …
T.zeros(2, 3).split(-1)
    RuntimeError: split expects split_size be non-negative, but got split_size=-1
T.zeros(2, 3).split([3, -1])
    RuntimeError: split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes …
T.zeros(2, 3).squeeze(2)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
T.zeros(2, 3).unsqueeze(3)
    IndexError: Dimension out of range (expected to be in range of [-3, 2], but got 3)
T.zeros(2, 3).movedim(0, 2)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
T.zeros(2, 3).movedim((0, 1), (0,))
    RuntimeError: movedim: Invalid source or destination dims: source ([0, 1] dims) should contain the sam …
T.zeros(2, 3).movedim((0, 0), (0, 1))
    RuntimeError: movedim: repeated dim in `source` ([0, 0])
T.zeros(2, 3).movedim((0, 1), (0, 0))
    RuntimeError: movedim: repeated dim in `destination` ([0, 0])
T.zeros(2, 3).flatten(1, 0)
    RuntimeError: flatten() has invalid args: start_dim cannot come after end_dim
T.zeros(2, 3).flatten(0, 5)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 5)
T.zeros(2, 3).unflatten(1, (2, 2))
    RuntimeError: unflatten: Provided sizes [2, 2] don't multiply up to the size of dim 1 (3) in the input …
T.zeros(2, 3).unflatten(1, ())
    RuntimeError: unflatten: sizes must be non-empty
T.zeros(2, 3).unbind(3)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 3)
T.zeros(2, 3).view(T.int16, 3)
    TypeError: view() received an invalid combination of arguments - got (torch.dtype, int), but expected  …
T.zeros(2, 3).view(T.float64)
    RuntimeError: self.size(-1) must be divisible by 2 to view Float as Double (different element sizes),  …
T.zeros(()).view(T.float64)
    RuntimeError: self.dim() cannot be 0 to view Float as Double (different element sizes)
T.zeros(2, 4).t().view(T.float64)
    RuntimeError: self.stride(-1) must be 1 to view Float as Double (different element sizes), but got 4
T.zeros(2, 3).view()
    TypeError: view() received an invalid combination of arguments - got (), but expected one of:
T.zeros(2, 3).view('a')
    TypeError: view() received an invalid combination of arguments - got (str), but expected one of:
T.view_as_real(T.zeros(2))
    RuntimeError: view_as_real is only supported for complex tensors
T.view_as_complex(T.zeros(3))
    RuntimeError: Tensor must have a last dimension of size 2
T.view_as_complex(T.zeros(2, dtype=T.int64))
    RuntimeError: view_as_complex is only supported for half, float and double tensors, but got a tensor o …
T.zeros(2).imag
    RuntimeError: imag is not implemented for tensors with non-complex dtypes.
T.zeros(2, 3).sum_to_size(3, 3)
    RuntimeError: size {[3, 3]} is not expandable to size {[2, 3]}.
T.broadcast_tensors(T.zeros(2), T.zeros(3))
    RuntimeError: The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0
T.broadcast_shapes((2,), (3,))
    RuntimeError: Attempting to broadcast a dimension of length 3 at -1! Mismatching argument at index 1 h …
"""

INDEXING = """
T.zeros(2, 3)[2]
    IndexError: index 2 is out of bounds for dimension 0 with size 2
T.zeros(2, 3)[0, 3]
    IndexError: index 3 is out of bounds for dimension 1 with size 3
T.zeros(2, 3)[0, 0, 0]
    IndexError: too many indices for tensor of dimension 2
T.zeros(2, 3)[::-1]
    ValueError: step must be greater than zero
T.zeros(2, 3)[1.0]
    IndexError: only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid i …
T.zeros(())[0]
    IndexError: invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C+ …
T.zeros(2, 3)[[0, 1], [0, 1, 2]]
    IndexError: shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]
T.zeros(2, 3)[T.tensor([True, False, True])]
    IndexError: The shape of the mask [3] at index 0 does not match the shape of the indexed tensor [2, 3] …
T.zeros(2, 3)[T.tensor([0.0])]
    IndexError: tensors used as indices must be long, int, byte or bool tensors
T.zeros(2, 3)[T.tensor([5])]
    IndexError: index 5 is out of bounds for dimension 0 with size 2
x = T.zeros(2, 3); x[2] = 1
    IndexError: index 2 is out of bounds for dimension 0 with size 2
x = T.zeros(2, 3); x[T.tensor([0, 5])] = 1
    IndexError: index 5 is out of bounds for dimension 0 with size 2
x = T.zeros(2, 3); x[0] = 'a'
    TypeError: can't assign a str to a torch.FloatTensor
T.zeros(2, 3).index_select(0, T.tensor([2]))
    IndexError: index out of range in self
T.zeros(2, 3).index_select(0, T.tensor([0.0]))
    RuntimeError: index_select(): Expected dtype int32 or int64 for index
T.zeros(2, 3).gather(0, T.tensor([0]))
    RuntimeError: Index tensor must have the same number of dimensions as input tensor
T.zeros(2, 3).gather(0, T.tensor([[5]]))
    RuntimeError: index 5 is out of bounds for dimension 0 with size 2
T.zeros(2, 3).scatter_(0, T.tensor([[5]]), 1.0)
    RuntimeError: index 5 is out of bounds for dimension 0 with size 2
T.zeros(2, 3).scatter_(0, T.tensor([[0.0]]), 1.0)
    RuntimeError: scatter(): Expected dtype int32/int64 for index
T.zeros(2, 3).masked_fill_(T.tensor([0, 1, 1]), 1.0)
    RuntimeError: masked_fill_ only supports boolean masks, but got mask with dtype long int
T.zeros(2, 3).masked_select(T.tensor([1, 0, 1]))
    RuntimeError: masked_select: expected BoolTensor for mask
T.zeros(2, 3).take(T.tensor([7]))
    IndexError: out of range: tried to access index 7 on a tensor of 6 elements.
T.zeros(2, 3).index_add_(0, T.tensor([0, 1]), T.zeros(3, 3))
    RuntimeError: index_add_(): Number of indices (2) should be equal to source.size(dim): (3), for dim: 0
T.zeros(2, 3).index_fill_(0, T.tensor([3]), 1.0)
    IndexError: index 3 is out of bounds for dimension 0 with size 2
T.where(T.tensor([1, 0]), T.zeros(2), T.zeros(2))
    RuntimeError: where expected condition to be a boolean tensor, but got a tensor with dtype Long
T.where(T.tensor([True, False]), T.zeros(3), T.zeros(2))
    RuntimeError: The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0
"""

JOINING = """
T.cat([])
    ValueError: torch.cat(): expected a non-empty list of Tensors
T.cat([T.zeros(2), T.zeros(2, 2)])
    RuntimeError: Tensors must have same number of dimensions: got 1 and 2
T.cat([T.zeros(2, 3), T.zeros(2, 2)])
    RuntimeError: Sizes of tensors must match except in dimension 0. Expected size 3 but got size 2 for te …
T.cat([T.zeros(2)], 1)
    IndexError: Dimension out of range (expected to be in range of [-1, 0], but got 1)
T.cat(T.zeros(2))
    TypeError: cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor
T.cat([1, 2])
    TypeError: expected Tensor as element 0 in argument 0, but got int
T.stack([])
    RuntimeError: stack expects a non-empty TensorList
T.stack([T.zeros(2), T.zeros(3)])
    RuntimeError: stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1
"""

ARITHMETIC = """
T.zeros(2) + T.zeros(3)
    RuntimeError: The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0
T.zeros(2, 3) + T.zeros(4, 3)
    RuntimeError: The size of tensor a (2) must match the size of tensor b (4) at non-singleton dimension 0
T.zeros(2) + 'a'
    TypeError: unsupported operand type(s) for +: 'Tensor' and 'str'
T.zeros(2) + None
    TypeError: unsupported operand type(s) for +: 'Tensor' and 'NoneType'
T.add(T.zeros(2), 'a')
    TypeError: add(): argument 'other' (position 2) must be Tensor, not str
T.add(T.zeros(2, dtype=T.int64), 1, alpha=0.5)
    RuntimeError: For integral input tensors, argument alpha must not be a floating point number.
T.tensor([True]) - T.tensor([True])
    RuntimeError: Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `l …
-T.tensor([True])
    RuntimeError: Negation, the `-` operator, on a bool tensor is not supported. If you are trying to inve …
~T.tensor([1.0])
    TypeError: ~ (operator.invert) is only implemented on integer and Boolean-type tensors
T.tensor([1.0]) & T.tensor([1.0])
    NotImplementedError: "bitwise_and_cpu" not implemented for 'Float'
T.tensor([1]) // T.tensor([0])
    RuntimeError: ZeroDivisionError
T.tensor([1]) % T.tensor([0])
    RuntimeError: ZeroDivisionError
T.tensor([2]) ** -1
    RuntimeError: Integers to negative integer powers are not allowed.
T.div(T.zeros(2), 1, rounding_mode='up')
    RuntimeError: div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'
T.exp(3)
    TypeError: exp(): argument 'input' (position 1) must be Tensor, not int
T.exp('a')
    TypeError: exp(): argument 'input' (position 1) must be Tensor, not str
T.exp(T.zeros(2), 3)
    TypeError: exp() takes 1 positional argument but 2 were given
T.exp(T.zeros(2), foo=3)
    TypeError: exp() got an unexpected keyword argument 'foo'
T.tensor([1]).exp_()
    RuntimeError: result type Float can't be cast to the desired output type Long
T.tensor([1]).add_(1.5)
    RuntimeError: result type Float can't be cast to the desired output type Long
T.tensor([1]).mul_(T.tensor([1.5]))
    RuntimeError: result type Float can't be cast to the desired output type Long
T.tensor([1.0]).add_(1j)
    RuntimeError: result type ComplexFloat can't be cast to the desired output type Float
T.tensor([True]).add_(1)
    RuntimeError: result type Long can't be cast to the desired output type Bool
T.zeros(2).add_(T.zeros(2, 2))
    RuntimeError: output with shape [2] doesn't match the broadcast shape [2, 2]
T.zeros(2).add_(T.zeros(3))
    RuntimeError: The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0
T.zeros(1).expand(3).add_(1)
    RuntimeError: unsupported operation: more than one element of the written-to tensor refers to a single …
T.zeros(2).fill_(T.zeros(2))
    RuntimeError: fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions.
T.zeros(2).copy_(T.zeros(3))
    RuntimeError: The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0
T.zeros(2).clamp()
    RuntimeError: torch.clamp: At least one of 'min' or 'max' must not be None
T.zeros(2).clamp_()
    RuntimeError: torch.clamp: At least one of 'min' or 'max' must not be None
T.zeros(2).lerp(T.zeros(3), 0.5)
    RuntimeError: The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0
T.add(T.zeros(2), 1, out=T.zeros(2, dtype=T.int64))
    RuntimeError: result type Float can't be cast to the desired output type Long
T.tensor([1j]) < T.tensor([1j])
    NotImplementedError: "lt_cpu" not implemented for 'ComplexFloat'
T.zeros(2).bitwise_and(1)
    NotImplementedError: "bitwise_and_cpu" not implemented for 'Float'
"""

REDUCTIONS = """
T.zeros(2).sum(1)
    IndexError: Dimension out of range (expected to be in range of [-1, 0], but got 1)
T.zeros(2, 3).sum((0, 0))
    RuntimeError: dim 0 appears multiple times in the list of dims
T.zeros(2, 3).sum(5)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 5)
T.tensor([1]).mean()
    RuntimeError: mean(): could not infer output dtype. Input dtype must be either a floating point or com …
T.tensor([True]).mean()
    RuntimeError: mean(): could not infer output dtype. Input dtype must be either a floating point or com …
T.zeros(0).max()
    RuntimeError: max(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduct …
T.zeros(0, 3).max(0)
    IndexError: max(): Expected reduction dim 0 to have non-zero size.
T.zeros(0).argmax()
    IndexError: argmax(): Expected reduction dim to be specified for input.numel() == 0.
T.zeros(0, 3).argmax(0)
    IndexError: argmax(): Expected reduction dim 0 to have non-zero size.
T.zeros(0).min()
    RuntimeError: min(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduct …
T.zeros(0).amax()
    RuntimeError: amax(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduc …
T.zeros(2, 3).max(2)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
T.tensor([1]).std()
    RuntimeError: std and var only support floating point and complex dtypes
T.tensor([1]).norm()
    RuntimeError: linalg.vector_norm: Expected a floating point or complex tensor as input. Got Long
T.zeros(2, 3).cumsum(2)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
T.zeros(2, 3).cumsum()
    TypeError: cumsum() missing 1 required positional arguments: "dim"
T.zeros(2, 3).sort(2)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
T.zeros(2, 3).topk(4)
    RuntimeError: selected index k out of range
T.zeros(2, 3).kthvalue(5)
    RuntimeError: kthvalue(): selected number k out of range for dimension 1
T.zeros(0).quantile(0.5)
    RuntimeError: quantile() input tensor must be non-empty
T.zeros(3).quantile(1.5)
    RuntimeError: quantile() q must be in the range [0, 1] but got 1.5
T.zeros(2, 3).flip(2)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
T.zeros(2, 3).flip(0, 0)
    RuntimeError: dim 0 appears multiple times in the list of dims
T.zeros(2, 3).roll((1, 2), (0,))
    RuntimeError: shifts and dimensions must align. shifts: 2, dims:1
"""

MATRICES = """
T.zeros(2, 3) @ T.zeros(2, 3)
    RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)
T.zeros(2, 3) @ T.zeros(2)
    RuntimeError: size mismatch, got input (2), mat (2x3), vec (2)
T.zeros(()) @ T.zeros(2)
    RuntimeError: both arguments to matmul need to be at least 1D, but they are 0D and 1D
T.mm(T.zeros(2), T.zeros(2, 2))
    RuntimeError: self must be a matrix
T.mm(T.zeros(2, 3), T.zeros(2, 3))
    RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)
T.bmm(T.zeros(2, 3), T.zeros(2, 3))
    RuntimeError: batch1 must be a 3D tensor
T.bmm(T.zeros(2, 3, 4), T.zeros(2, 3, 4))
    RuntimeError: Expected size for first two dimensions of batch2 tensor to be: [2, 4] but got: [2, 3].
T.mv(T.zeros(2, 3), T.zeros(2))
    RuntimeError: size mismatch, got input (2), mat (2x3), vec (2)
T.dot(T.zeros(2), T.zeros(3))
    RuntimeError: inconsistent tensor size, expected tensor [2] and src [3] to have the same number of ele …
T.dot(T.zeros(2, 2), T.zeros(2, 2))
    RuntimeError: 1D tensors expected, but got 2D and 2D tensors
T.zeros(2, 3) @ T.zeros(3, 2, dtype=T.float64)
    RuntimeError: expected m1 and m2 to have the same dtype, but got: float != double
T.zeros(2, 3, dtype=T.int64) @ T.zeros(3, 2)
    RuntimeError: expected m1 and m2 to have the same dtype, but got: long int != float
T.zeros(2, 3) @ 3
    TypeError: unsupported operand type(s) for @: 'Tensor' and 'int'
T.addmm(T.zeros(5), T.zeros(2, 3), T.zeros(3, 4))
    RuntimeError: The expanded size of the tensor (4) must match the existing size (5) at non-singleton di …
T.einsum('ij,jk->ik', T.zeros(2, 3), T.zeros(2, 3))
    RuntimeError: einsum(): subscript j has size 2 for operand 1 which does not broadcast with previously  …
T.einsum('ij', T.zeros(2))
    RuntimeError: einsum(): the number of subscripts in the equation (2) does not match the number of dime …
T.einsum('i$', T.zeros(2))
    RuntimeError: einsum(): invalid subscript given at index 1 in the equation string, subscripts must be  …
T.linalg.inv(T.zeros(2, 3))
    RuntimeError: linalg.inv: A must be batches of square matrices, but they are 2 by 3 matrices
T.linalg.inv(T.zeros(2, 2))
    _LinAlgError: linalg.inv: The diagonal element 1 is zero, the inversion could not be completed because …
T.linalg.solve(T.zeros(2, 2), T.zeros(2))
    _LinAlgError: torch.linalg.solve: The solver failed because the input matrix is singular.
T.linalg.cholesky(-T.eye(2))
    _LinAlgError: linalg.cholesky: The factorization could not be completed because the input is not posit …
T.linalg.det(T.zeros(2, 3))
    RuntimeError: linalg.det: A must be batches of square matrices, but they are 2 by 3 matrices
T.linalg.inv(T.zeros(2, 2, dtype=T.int64))
    RuntimeError: linalg.inv: Expected a floating point or complex tensor as input. Got Long
T.tensordot(T.zeros(2, 3), T.zeros(4, 5), 1)
    RuntimeError: contracted dimensions need to match, but first has size 3 in dim -1 and second has size  …
T.cross(T.zeros(2), T.zeros(2))
    RuntimeError: no dimension of size 3 in input
"""

FUNCTIONAL = """
F.linear(T.zeros(2, 3), T.zeros(4, 5))
    RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4)
F.conv2d(T.zeros(1, 3, 8, 8), T.zeros(4, 2, 3, 3))
    RuntimeError: Given groups=1, weight of size [4, 2, 3, 3], expected input[1, 3, 8, 8] to have 2 channe …
F.conv2d(T.zeros(1, 3, 2, 2), T.zeros(4, 3, 3, 3))
    RuntimeError: Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3). Kernel size can …
F.conv2d(T.zeros(3, 8), T.zeros(4, 3, 3, 3))
    RuntimeError: Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [3, 8]
F.conv2d(T.zeros(1, 3, 8, 8), T.zeros(4, 3, 3, 3), T.zeros(5))
    RuntimeError: Given weight of size [4, 3, 3, 3], expected bias to be 1-dimensional with 4 elements, bu …
F.conv2d(T.zeros(1, 3, 8, 8), T.zeros(4, 3, 3, 3), stride=0)
    RuntimeError: non-positive stride is not supported
F.conv2d(T.zeros(1, 3, 8, 8), T.zeros(4, 3, 3, 3), padding=-1)
    RuntimeError: negative padding is not supported
F.conv2d(T.zeros(1, 3, 8, 8), T.zeros(4, 1, 3, 3), groups=2)
    RuntimeError: Given groups=2, weight of size [4, 1, 3, 3], expected input[1, 3, 8, 8] to have 2 channe …
F.conv2d(T.zeros(1, 3, 8, 8), T.zeros(4, 3, 3, 3, dtype=T.float64))
    RuntimeError: expected scalar type Float but found Double
F.conv1d(T.zeros(1, 3, 8, 8), T.zeros(4, 3, 3))
    RuntimeError: Expected 2D (unbatched) or 3D (batched) input to conv1d, but got input of size: [1, 3, 8 …
F.max_pool2d(T.zeros(1, 1, 2, 2), 3)
    RuntimeError: Given input size: (1x2x2). Calculated output size: (1x0x0). Output size is too small
F.max_pool2d(T.zeros(1, 1, 4, 4), 2, padding=2)
    RuntimeError: pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and di …
F.max_pool2d(T.zeros(4), 2)
    RuntimeError: non-empty 3D or 4D (batch mode) tensor expected for input
F.max_pool2d(T.zeros(1, 1, 4, 4), 0)
    RuntimeError: stride should not be zero
F.avg_pool2d(T.zeros(1, 1, 4, 4), 2, padding=2)
    RuntimeError: pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and di …
F.avg_pool2d(T.zeros(1, 1, 2, 2), 5)
    RuntimeError: Given input size: (1x2x2). Calculated output size: (1x0x0). Output size is too small
F.cross_entropy(T.zeros(2, 3), T.tensor([0, 3]))
    IndexError: Target 3 is out of bounds.
F.cross_entropy(T.zeros(2, 3), T.tensor([0, 1, 2]))
    ValueError: Expected input batch_size (2) to match target batch_size (3).
F.cross_entropy(T.zeros(2, 3), T.tensor([0.0, 1.0]))
    RuntimeError: expected target dtype to be Long or Byte, but got Float
F.cross_entropy(T.zeros(2, 3), T.tensor([0, -5]))
    IndexError: Target -5 is out of bounds.
F.cross_entropy(T.zeros(2, 3), T.tensor([0, 1]), reduction='foo')
    ValueError: foo is not a valid value for reduction
F.cross_entropy(T.zeros(2, 3), T.tensor([0, 1]), weight=T.zeros(2))
    RuntimeError: weight tensor should be defined either for all 3 classes or no classes but got weight te …
F.nll_loss(T.zeros(2, 3), T.tensor([0, 1, 2]))
    ValueError: Expected input batch_size (2) to match target batch_size (3).
F.nll_loss(T.zeros(2, 3), T.tensor([5, 1]))
    IndexError: Target 5 is out of bounds.
F.mse_loss(T.zeros(2), T.zeros(2), reduction='foo')
    ValueError: foo is not a valid value for reduction
F.binary_cross_entropy(T.tensor([2.0]), T.tensor([1.0]))
    RuntimeError: all elements of input should be between 0 and 1
F.binary_cross_entropy(T.zeros(2), T.zeros(3))
    ValueError: Using a target size (torch.Size([3])) that is different to the input size (torch.Size([2]) …
F.binary_cross_entropy_with_logits(T.zeros(2), T.zeros(3))
    ValueError: Target size (torch.Size([3])) must be the same as input size (torch.Size([2]))
F.kl_div(T.zeros(2), T.zeros(3))
    RuntimeError: The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 0
F.embedding(T.tensor([5]), T.zeros(3, 2))
    IndexError: index out of range in self
F.embedding(T.tensor([0.0]), T.zeros(3, 2))
    RuntimeError: Expected tensor for argument #1 'indices' to have one of the following scalar types: Lon …
F.one_hot(T.tensor([3]), 2)
    RuntimeError: Class values must be smaller than num_classes.
F.one_hot(T.tensor([-1]))
    RuntimeError: Class values must be non-negative.
F.one_hot(T.tensor([1.0]))
    RuntimeError: one_hot is only applicable to index tensor of type LongTensor.
F.batch_norm(T.zeros(2, 3), None, None, training=False)
    RuntimeError: running_mean must be defined in evaluation mode
F.batch_norm(T.zeros(2, 3), T.zeros(4), T.ones(4))
    RuntimeError: running_mean should contain 3 elements not 4
F.batch_norm(T.zeros(1, 3), T.zeros(3), T.ones(3), training=True)
    ValueError: Expected more than 1 value per channel when training, got input size torch.Size([1, 3])
F.layer_norm(T.zeros(2, 3), (4,))
    RuntimeError: Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[2, 3]
F.group_norm(T.zeros(2, 3), 2)
    RuntimeError: Expected number of channels in input to be divisible by num_groups, but got input of sha …
F.dropout(T.zeros(2), 1.5)
    ValueError: dropout probability has to be between 0 and 1, but got 1.5
F.dropout(T.zeros(2), -0.1)
    ValueError: dropout probability has to be between 0 and 1, but got -0.1
F.softmax(T.zeros(2, 3), 2)
    IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)
F.pad(T.zeros(2, 3), (1,))
    RuntimeError: Padding length must be divisible by 2
F.pad(T.zeros(2, 3), (1, 1, 1, 1, 1, 1))
    RuntimeError: Padding length should be less than or equal to two times the input dimension but got pad …
F.pad(T.zeros(1, 2, 3), (5, 5), mode='reflect')
    RuntimeError: Argument #4: Padding size should be less than the corresponding input dimension, but got …
F.pad(T.zeros(2, 3), (1, 1), mode='foo')
    NotImplementedError: Unrecognised padding mode foo
F.interpolate(T.zeros(1, 1, 2, 2))
    ValueError: either size or scale_factor should be defined
F.interpolate(T.zeros(1, 1, 2, 2), size=3, scale_factor=2)
    ValueError: only one of size or scale_factor should be defined
F.glu(T.zeros(3))
    RuntimeError: Halving dimension must be even, but dimension 0 is size 3
F.gelu(T.zeros(2), approximate='foo')
    RuntimeError: approximate argument must be either none or tanh.
F.scaled_dot_product_attention(T.zeros(1, 2, 3), T.zeros(1, 2, 4), T.zeros(1, 2, 3))
    RuntimeError: Expected size for first two dimensions of batch2 tensor to be: [1, 3] but got: [1, 4].
F.cosine_similarity(T.zeros(2, 3), T.zeros(2, 4))
    RuntimeError: The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1
F.triplet_margin_loss(T.zeros(2, 3), T.zeros(2, 4), T.zeros(2, 3))
    RuntimeError: The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1
F.fold(T.zeros(1, 3, 4), (2, 2), 2)
    RuntimeError: Expected size of input's dimension 1 to be divisible by the product of kernel_size, but  …
F.pixel_shuffle(T.zeros(1, 3, 2, 2), 2)
    RuntimeError: pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of u …
"""

MODULES = """
nn.Linear(3, 4)(T.zeros(2, 5))
    RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x5 and 3x4)
nn.Linear(3, 4)(T.zeros(2, 3, dtype=T.float64))
    RuntimeError: mat1 and mat2 must have the same dtype, but got Double and Float
nn.Linear(3, 4)(T.zeros(2, 3, dtype=T.int64))
    RuntimeError: mat1 and mat2 must have the same dtype, but got Long and Float
nn.Linear(-1, 4)
    RuntimeError: Trying to create tensor with negative dimension -1: [4, -1]
nn.Conv2d(3, 4, 3)(T.zeros(1, 2, 8, 8))
    RuntimeError: Given groups=1, weight of size [4, 3, 3, 3], expected input[1, 2, 8, 8] to have 3 channe …
nn.Conv2d(3, 4, 3, groups=2)
    ValueError: in_channels must be divisible by groups
nn.Conv2d(3, 4, 3, padding='same', stride=2)
    ValueError: padding='same' is not supported for strided convolutions
nn.BatchNorm2d(3)(T.zeros(2, 3))
    ValueError: expected 4D input (got 2D input)
nn.BatchNorm2d(3)(T.zeros(1, 4, 2, 2))
    RuntimeError: running_mean should contain 4 elements not 3
nn.BatchNorm1d(3)(T.zeros(1, 3))
    ValueError: Expected more than 1 value per channel when training, got input size torch.Size([1, 3])
nn.LayerNorm(3)(T.zeros(2, 4))
    RuntimeError: Given normalized_shape=[3], expected input with shape [*, 3], but got input of size[2, 4]
nn.Embedding(3, 2)(T.tensor([3]))
    IndexError: index out of range in self
nn.Embedding(3, 2, padding_idx=5)
    AssertionError: Padding_idx must be within num_embeddings
nn.Dropout(2)
    ValueError: dropout probability has to be between 0 and 1, but got 2
nn.LSTM(3, 4)(T.zeros(2, 5, 5))
    RuntimeError: input.size(-1) must be equal to input_size. Expected 3, got 5
nn.LSTM(3, 4)(T.zeros(5))
    ValueError: LSTM: Expected input to be 2D or 3D, got 1D instead
nn.LSTM(3, 4)(T.zeros(2, 2, 3), (T.zeros(1, 1, 4), T.zeros(1, 1, 4)))
    RuntimeError: Expected hidden[0] size (1, 2, 4), got [1, 1, 4]
nn.LSTM(3, 0)
    ValueError: hidden_size must be greater than zero
nn.RNN(3, 4, nonlinearity='foo')
    ValueError: Unknown nonlinearity 'foo'. Select from 'tanh' or 'relu'.
nn.GRU(3, 4)(T.zeros(2, 2, 3), T.zeros(1, 3, 4))
    RuntimeError: Expected hidden size (1, 2, 4), got [1, 3, 4]
nn.MultiheadAttention(5, 2)
    AssertionError: embed_dim must be divisible by num_heads
nn.Sequential(nn.Linear(2, 3))[1]
    IndexError: index 1 is out of range
nn.Sequential(3)
    TypeError: int is not a Module subclass
nn.ModuleList([3])
    TypeError: int is not a Module subclass
nn.Module().foo
    AttributeError: 'Module' object has no attribute 'foo'
m = nn.Module(); m.x = nn.Linear(2, 2); m.register_parameter('x', nn.Parameter(T.zeros(2)))
    KeyError: "attribute 'x' already exists"
nn.Module().register_buffer('a', 3)
    TypeError: cannot assign 'int' object to buffer 'a' (torch Tensor or None required)
nn.Module().register_parameter('a.b', None)
    KeyError: 'parameter name can\\'t contain "."'
nn.Module().register_parameter('a', T.zeros(2))
    TypeError: cannot assign 'torch.FloatTensor' object to parameter 'a' (torch.nn.Parameter or None requi …
m = nn.Linear(2, 2); m.weight = T.zeros(2, 2)
    TypeError: cannot assign 'torch.FloatTensor' as parameter 'weight' (torch.nn.Parameter or None expected)
layer.load_state_dict({'weight': T.zeros(3, 2)})
    RuntimeError: Error(s) in loading state_dict for Linear:
layer.load_state_dict({'weight': T.zeros(2, 2), 'bias': T.zeros(3)})
    RuntimeError: Error(s) in loading state_dict for Linear:
layer.load_state_dict({'weight': T.zeros(3, 2), 'bias': T.zeros(3), 'foo': T.zeros(1)})
    RuntimeError: Error(s) in loading state_dict for Linear:
layer.load_state_dict(3)
    TypeError: Expected state_dict to be dict-like, got <class 'int'>.
nn.Module()(3)
    NotImplementedError: Module [Module] is missing the required "forward" function
nn.Linear(2, 3).get_parameter('foo')
    AttributeError: Linear has no attribute `foo`
nn.Linear(2, 3).to(T.int64)
    TypeError: nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.int64
nn.init.xavier_uniform_(T.zeros(2))
    ValueError: Fan in and fan out can not be computed for tensor with fewer than 2 dimensions
nn.init.orthogonal_(T.zeros(2))
    ValueError: Only tensors with 2 or more dimensions are supported
nn.init.kaiming_uniform_(T.zeros(2, 2), mode='foo')
    ValueError: Mode foo not supported, please use one of ['fan_in', 'fan_out']
nn.init.calculate_gain('foo')
    ValueError: Unsupported nonlinearity foo
"""

OPTIMIZERS = """
T.optim.SGD([], lr=0.1)
    ValueError: optimizer got an empty parameter list
T.optim.SGD([T.zeros(2)], lr=-1)
    ValueError: Invalid learning rate: -1
T.optim.SGD([T.zeros(2)], lr=0.1, momentum=-1)
    ValueError: Invalid momentum value: -1
T.optim.SGD([T.zeros(2)], lr=0.1, nesterov=True)
    ValueError: Nesterov momentum requires a momentum and zero dampening
T.optim.SGD(T.zeros(2), lr=0.1)
    TypeError: params argument given to the optimizer should be an iterable of Tensors or dicts, but got t …
T.optim.SGD([3], lr=0.1)
    TypeError: optimizer can only optimize Tensors, but one of the params is int
T.optim.SGD([leaf(2) * 2], lr=0.1)
    ValueError: can't optimize a non-leaf Tensor
T.optim.Adam([T.zeros(2)], lr=0.1, betas=(1.0, 0.9))
    ValueError: Invalid beta parameter at index 0: 1.0
T.optim.Adam([T.zeros(2)], lr=0.1, eps=-1)
    ValueError: Invalid epsilon value: -1
T.optim.Adam([T.zeros(2)], weight_decay=-1)
    ValueError: Invalid weight_decay value: -1
p = leaf(2); T.optim.SGD([{'params': [p]}, {'params': [p]}], lr=0.1)
    ValueError: some parameters appear in more than one parameter group
p = leaf(2); o = T.optim.SGD([p], 0.1); o.load_state_dict({'state': {}, 'param_groups': []})
    ValueError: loaded state dict has a different number of parameter groups
p = leaf(2); o = T.optim.SGD([p], 0.1); o.add_param_group({'params': [p]})
    ValueError: some parameters appear in more than one parameter group
T.optim.LBFGS([{'params': [T.zeros(2)]}, {'params': [T.zeros(3)]}])
    ValueError: LBFGS doesn't support per-parameter options (parameter groups)
schedule.StepLR(3, 1)
    TypeError: int is not an Optimizer
schedule.LambdaLR(T.optim.SGD([T.zeros(2)], 0.1), [lambda e: e, lambda e: e])
    ValueError: Expected 1 lr_lambdas, but got 2
schedule.OneCycleLR(T.optim.SGD([T.zeros(2)], 0.1), 0.1)
    ValueError: You must define either total_steps OR (epochs AND steps_per_epoch)
"""

DATA = """
Loader([1, 2], batch_size=0)
    ValueError: batch_size should be a positive integer value, but got batch_size=0
Loader([1, 2], batch_size=-1)
    ValueError: batch_size should be a positive integer value, but got batch_size=-1
Loader([1, 2], num_workers=-1)
    ValueError: num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.
Loader([1, 2], shuffle=True, sampler=[0])
    ValueError: sampler option is mutually exclusive with shuffle
Loader([1, 2], batch_sampler=[[0]], batch_size=2)
    ValueError: batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last
list(Loader([T.zeros(2), T.zeros(3)], batch_size=2))
    RuntimeError: stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1
list(Loader([None, None], batch_size=2))
    TypeError: default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found < …
list(Loader([object()], batch_size=1))
    TypeError: default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found < …
data.TensorDataset(T.zeros(2), T.zeros(3))
    AssertionError: Size mismatch between tensors
data.random_split([1, 2, 3], [1, 1])
    ValueError: Sum of input lengths does not equal the length of the input dataset!
data.random_split([1, 2, 3], [0.5, 0.6])
    ValueError: Sum of input lengths does not equal the length of the input dataset!
data.RandomSampler([], num_samples=0)
    ValueError: num_samples should be a positive integer value, but got num_samples=0
data.RandomSampler([1], replacement=3)
    TypeError: replacement should be a boolean value, but got replacement=3
data.ConcatDataset([])
    AssertionError: datasets should not be an empty iterable
data.Subset([1, 2], [5])[0]
    IndexError: list index out of range
Loader([1, 2], timeout=-1)
    ValueError: timeout option should be non-negative
Loader([1, 2], prefetch_factor=2)
    ValueError: prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to e …
"""

FILES = """
T.load('/nonexistent/x.pt')
    FileNotFoundError: [Errno 2] No such file or directory: '/nonexistent/x.pt'
f = BytesIO(); T.save(T.zeros(100), f); T.load(BytesIO(f.getvalue()[:200]))
    RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory.
f = BytesIO(); T.save(T.zeros(100), f); T.load(BytesIO(f.getvalue()[:-30]))
    RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory.
T.save(T.zeros(2), '/nonexistent/x.pt')
    RuntimeError: Parent directory /nonexistent does not exist.
"""

RANDOM = """
T.multinomial(T.tensor([0.0, 0.0]), 1)
    RuntimeError: invalid multinomial distribution (sum of probabilities <= 0)
T.multinomial(T.tensor([-1.0, 2.0]), 1)
    RuntimeError: probability tensor contains either `inf`, `nan` or element < 0
T.multinomial(T.ones(2), 5)
    RuntimeError: cannot sample n_sample > prob_dist.size(-1) samples without replacement
T.bernoulli(T.tensor([2.0]))
    RuntimeError: Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be …
T.zeros(2).normal_(0, -1)
    RuntimeError: normal expects std >= 0.0, but found std -1
T.normal(0.0, -1.0, (2,))
    RuntimeError: normal expects std >= 0.0, but found std -1
T.zeros(2).uniform_(2, 1)
    RuntimeError: uniform_ expects to return a [from, to) range, but found from=2 > to=1
T.randint(5, 5, (2,))
    RuntimeError: random_ expects 'from' to be less than 'to', but got from=5 >= to=5
T.randint(0, (2,))
    RuntimeError: random_ expects 'from' to be less than 'to', but got from=0 >= to=0
T.randperm(-1)
    RuntimeError: Trying to create tensor with negative dimension -1: [-1]
T.rand(-1)
    RuntimeError: Trying to create tensor with negative dimension -1: [-1]
T.rand(2, dtype=T.int64)
    NotImplementedError: "check_uniform_bounds" not implemented for 'Long'
T.manual_seed('a')
    ValueError: invalid literal for int() with base 10: 'a'
T.set_default_dtype(T.int64)
    TypeError: only floating-point types are supported as the default type
T.set_default_dtype('a')
    TypeError: invalid dtype object: only floating-point types are supported as the default type
"""

CONVERSION = """
T.zeros(2, 2).item()
    RuntimeError: a Tensor with 4 elements cannot be converted to Scalar
bool(T.zeros(2))
    RuntimeError: Boolean value of Tensor with more than one value is ambiguous
bool(T.zeros(0))
    RuntimeError: Boolean value of Tensor with no values is ambiguous
int(T.zeros(2))
    ValueError: only one element tensors can be converted to Python scalars
float(T.zeros(2))
    ValueError: only one element tensors can be converted to Python scalars
int(T.tensor(1j))
    RuntimeError: value cannot be converted to type int64_t without overflow
[1, 2][T.tensor(1.0)]
    TypeError: only integer tensors of a single element can be converted to an index
[1, 2][T.tensor([1, 0])]
    TypeError: only integer tensors of a single element can be converted to an index
len(T.zeros(()))
    TypeError: len() of a 0-d tensor
iter(T.zeros(()))
    TypeError: iteration over a 0-d tensor
'a' in T.zeros(2)
    RuntimeError: Tensor.__contains__ only supports Tensor or scalar, but you passed in a <class 'str'>.
leaf(2).numpy()
    RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.
T.zeros(2, dtype=T.bfloat16).numpy()
    TypeError: Got unsupported ScalarType BFloat16
np.asarray(leaf(2))
    RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.
T.zeros(2, device='meta').item()
    RuntimeError: a Tensor with 2 elements cannot be converted to Scalar
T.zeros(2, device='meta').tolist()
    NotImplementedError: Cannot copy out of meta tensor; no data!
T.zeros(2, device='meta').numpy()
    TypeError: can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host …
T.zeros(2, device='meta').cpu()
    NotImplementedError: Cannot copy out of meta tensor; no data!
T.zeros(2).to('foo')
    RuntimeError: Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, …
T.zeros(2).type('foo')
    ValueError: invalid type: 'foo'
T.zeros(2).foo
    AttributeError: 'Tensor' object has no attribute 'foo'
T.foo
    AttributeError: module 'torch' has no attribute 'foo'
T.zeros(2).requires_grad_('a')
    TypeError: requires_grad_(): argument 'requires_grad' (position 1) must be bool, not str
T.zeros(2, dtype=T.int64).requires_grad_()
    RuntimeError: only Tensors of floating point dtype can require gradients
(leaf(2) * 2).requires_grad_(False)
    RuntimeError: you can only change requires_grad flags of leaf variables. If you want to use a computed …
"""

AUTOGRAD = """
T.zeros(2).backward()
    RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
leaf(2).backward()
    RuntimeError: grad can be implicitly created only for scalar outputs
x = leaf(2); (x * 2).backward()
    RuntimeError: grad can be implicitly created only for scalar outputs
x = leaf(2); (x * 2).backward(T.zeros(3))
    RuntimeError: Mismatch in shape: grad_output[0] has a shape of torch.Size([3]) and output[0] has a sha …
x = leaf(2); (x * 2).backward('a')
    TypeError: gradients can be either Tensors or None, but got str
x = leaf(()); y = x * x; y.backward(); y.backward()
    RuntimeError: Trying to backward through the graph a second time (or directly access saved tensors aft …
x = leaf(2); x.add_(1)
    RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
x = leaf(2); x[0] = 1
    RuntimeError: a view of a leaf Variable that requires grad is being used in an in-place operation.
x = leaf(2); x[:1].add_(1)
    RuntimeError: a view of a leaf Variable that requires grad is being used in an in-place operation.
x = leaf(2); y = x.exp(); y.add_(1); y.sum().backward()
    RuntimeError: one of the variables needed for gradient computation has been modified by an inplace ope …
x = leaf(2); y = x * 2; z = y * y; y.add_(1); z.sum().backward()
    RuntimeError: one of the variables needed for gradient computation has been modified by an inplace ope …
x = leaf(2); y = x * 2; z = y.sin(); y.mul_(2); z.sum().backward()
    RuntimeError: one of the variables needed for gradient computation has been modified by an inplace ope …
x = leaf(2); A.grad(x.sum(), T.zeros(2))
    RuntimeError: One of the differentiated Tensors does not require grad
x = leaf(2); A.grad(x.sum(), leaf(2))
    RuntimeError: The differentiated Tensor at index 0 appears to not have been used in the graph. Set all …
x = leaf(2); A.grad(x, x)
    RuntimeError: grad can be implicitly created only for scalar outputs
x = leaf(2); x.sum().backward(inputs=[])
    RuntimeError: `inputs` argument to `backward()` cannot be empty.
T.zeros(2).retain_grad()
    RuntimeError: can't retain_grad on Tensor that has requires_grad=False
T.zeros(2).register_hook(print)
    RuntimeError: cannot register a hook on a tensor that doesn't require gradient
(leaf(2) * 2).register_post_accumulate_grad_hook(print)
    RuntimeError: post accumulate grad hooks cannot be registered on non-leaf tensors
x = leaf(2); x.grad = T.zeros(3)
    RuntimeError: attempting to assign a gradient of size '[3]' to a tensor of size '[2]'. Please ensure t …
x = leaf(2); x.grad = 3
    TypeError: assigned grad expected to be a Tensor or None but got grad of type int
x = leaf(2); x.data = 3
    TypeError: Variable data has to be a tensor, but got int
x = leaf(2); x.data = T.zeros(2, dtype=T.int64)
    RuntimeError: data set to a tensor that requires gradients must be floating point or complex dtype
x = leaf(2); x.resize_(4)
    RuntimeError: cannot resize variables that require grad
x = leaf(2); import copy; copy.deepcopy(x * 2)
    RuntimeError: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol …
x = leaf(2)[:1]; x.detach_()
    RuntimeError: Can't detach views in-place. Use detach() instead. If you are using DistributedDataParal …
"""

TABLES = {"CREATION": CREATION, "VIEWS": VIEWS, "INDEXING": INDEXING, "JOINING": JOINING, "ARITHMETIC":
          ARITHMETIC, "REDUCTIONS": REDUCTIONS, "MATRICES": MATRICES, "FUNCTIONAL": FUNCTIONAL, "MODULES":
          MODULES, "OPTIMIZERS": OPTIMIZERS, "DATA": DATA, "FILES": FILES, "RANDOM": RANDOM, "CONVERSION":
          CONVERSION, "AUTOGRAD": AUTOGRAD}


def cases():
    for family, table in TABLES.items():
        lines = table.strip().split("\n")
        assert len(lines) % 2 == 0, family
        for source, error in zip(lines[::2], lines[1::2]):
            kind, _, words = error.strip().partition(": ")
            yield pytest.param(source, kind, words, id=f"{family.lower()}: {source}")


def names() -> dict:
    return {"T": T, "F": F, "nn": nn, "A": T.autograd, "np": np, "data": T.utils.data, "io": io,
            "BytesIO": io.BytesIO, "schedule": T.optim.lr_scheduler, "Loader": T.utils.data.DataLoader,
            "leaf": lambda *size: T.zeros(*size, requires_grad=True), "layer": nn.Linear(2, 3)}


def test_the_tables_are_many():
    assert sum(len(table.strip().split("\n")) // 2 for table in TABLES.values()) >= 400


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source, kind, words", list(cases()))
def test_bad_input(source, kind, words):
    with pytest.raises(Exception) as caught:
        exec(source, names())
    error = caught.value
    assert type(error).__name__ == kind, f"{type(error).__name__}: {error}"
    said = str(error).split("\n")[0]
    assert said.startswith(words.removesuffix(" …")), said
    assert "numba" not in str(error) and "llvm" not in str(error)
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    assert not any("numba" in f or "llvmlite" in f for f in frames)


IN_PLACE = """
x.add_(T.zeros(7))
x.mul_(T.zeros(2, 2, 3))
x.add_(1j)
x.copy_(T.zeros(5))
x.fill_(T.zeros(2))
x.clamp_()
x[5] = 1
x[0] = 'a'
x[0, 0, 0] = 1
x[T.tensor([0, 9])] = 1
x[T.tensor([True, False, True])] = 1
x.index_add_(0, T.tensor([0, 5]), T.ones(2, 3))
x.index_fill_(0, T.tensor([3]), 1.0)
x.index_copy_(0, T.tensor([0]), T.zeros(2, 3))
x.scatter_(0, T.tensor([[5]]), 1.0)
x.scatter_add_(0, T.tensor([[0.0]]), T.ones(1, 1))
x.masked_fill_(T.tensor([True, True]), 1.0)
x.masked_fill_(T.tensor([0, 1, 1]), 1.0)
x.put_(T.tensor([77]), T.tensor([1.0]))
x.normal_(0, -1)
x.uniform_(2, 1)
x.bernoulli_(2.0)
x.squeeze_(7)
x.transpose_(0, 9)
x.resize_(-2)
x.set_('a')
T.add(x, 1, out=x[:, :2].long())
T.exp(x, out=T.zeros(2, 3, dtype=T.int64))
T.add(x, T.zeros(7), out=x)
x.requires_grad_('yes')
x.data = 3
x.grad = T.zeros(7)
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", IN_PLACE.strip().split("\n"))
def test_a_failed_write_changes_nothing(source):
    x = T.arange(6.0).view(2, 3)
    layout, version, storage = x.layout, x._version, x.storage
    with pytest.raises((RuntimeError, TypeError, IndexError, ValueError)):
        exec(source, {**names(), "x": x})
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x.layout == layout and x.storage is storage and x.grad is None and not x.requires_grad
    assert x._version == version, "a refused write counts as none"


def test_a_failed_backward_leaves_gradients_alone():
    x = T.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    y = x * 2
    z = (y * y).sum()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
    assert x.grad.tolist() == [3, 3]
    assert T.is_grad_enabled()


def test_messages_name_operation_and_shapes():
    with pytest.raises(RuntimeError, match=r"in mul\(\[2, 3\], \[4\]\)"):
        T.zeros(2, 3) * T.zeros(4)
    with pytest.raises(RuntimeError, match="MulBackward0"):
        x = T.ones(2, requires_grad=True)
        y = x * 1
        z = y * y
        y.add_(1)
        z.sum().backward()
    with pytest.raises(RuntimeError, match=r"size mismatch for weight: .*\[2, 2\].*\[3, 2\]"):
        nn.Linear(2, 3).load_state_dict({"weight": T.zeros(2, 2), "bias": T.zeros(3)})


@pytest.mark.parametrize("keep", [0, 1, 10, 60, 200, 500, -1, -30, -200])
def test_a_truncated_checkpoint_is_refused(tmp_path, keep):
    path = tmp_path / "model.pt"
    T.save({"weight": T.arange(100.0)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError, ValueError)) as caught:
        T.load(path)
    assert str(caught.value)
    path.write_bytes(whole)
    assert T.load(path)["weight"].sum().item() == 4950


def test_a_hostile_checkpoint_runs_nothing(tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "pwned"), "w")
    for protocol in (2, 4):
        with open(tmp_path / "bomb.pt", "wb") as f:
            pickle.dump(Bomb(), f, protocol)
        with pytest.raises((pickle.UnpicklingError, RuntimeError)):
            T.load(tmp_path / "bomb.pt")
    assert not (tmp_path / "pwned").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape("nowhere.pt")):
        T.load(tmp_path / "nowhere.pt")


def test_a_failing_worker_says_where():
    class Broken(T.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            raise KeyError(f"item {i}")
    with pytest.raises(KeyError, match="item 0"):
        list(T.utils.data.DataLoader(Broken(), batch_size=2))
    with pytest.raises(KeyError, match="Caught KeyError in DataLoader worker process 0"):
        list(T.utils.data.DataLoader(Broken(), batch_size=2, num_workers=1))
