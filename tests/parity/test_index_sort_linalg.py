"""Indexing, joining, sorting, scans and matrix products against PyTorch: values, errors, gradients."""
import numpy as np
import pytest

import numtorch

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")


def samples(T):
    rng = np.random.default_rng(0)

    def real(*shape, dtype="float32"):
        return T.from_numpy(rng.standard_normal(shape).astype(dtype))

    def ints(high, *shape):
        return T.from_numpy(rng.integers(0, high, shape))

    x = T.arange(20.0).view(4, 5)
    s = {"T": T, "np": np,
         "L": T.long, "x": x, "i": T.tensor([0, 1]), "e": T.empty, "v": real(5), "w": real(4),
         "m": real(4, 5), "n": real(5, 3), "b": real(2, 4, 5), "c": real(2, 5, 3), "z": real(3, 4, 5),
         "g": ints(4, 3, 5), "few": T.from_numpy(rng.integers(-3, 3, (6, 7)).astype("float32")),
         "k": ints(9, 40), "nan": T.tensor([1.0, float("nan"), -1.0, float("nan"), 3.0]),
         "h": real(4, 6).half(), "bf": real(4, 6).bfloat16(), "d": real(3, 3, dtype="float64"),
         "cx": T.complex(real(3, 3), real(3, 3))}
    s["bd"] = real(2, 4, 3, dtype="float64")
    s["spd"] = T.matmul(s["bd"], s["bd"].transpose(1, 2)) + 2 * T.eye(4, dtype=T.float64)
    return s


INDEX = """
x[1], x[-1], x[1, 2], x[:, 1], x[1:3], x[::2, 1:4:2], x[..., 0], x[None, 1, ..., None], x[3:1], x[-3:-1]
x[2:100]
x[[0, 2]], x[i], x[i, i], x[:, i], x[i, None, i], x[i, :, None], x[None, i], x[1:3, [0, 1]], x[[0, 1], 1:3]
z[i, :, i], z[:, i, i], z[i[:, None], i], z[:, i[:, None], i], z[0, i], z[:, 0, i], z[i, 0], z[..., i]
z[i, ..., i]
x[x > 3], x[x[:, 0] > 3], x[:, x[0] > 2], x[x[:, 0] > 3, 1], z[z > 0], z[:, x > 7], z[0, x > 7], x[x > 99]
x[True].shape, x[False].shape, x[T.tensor(True)].shape, x[[True, False, True, True]]
x[None, [True, False, True, True]]
x[[[0, 1], [1, 2]]], x[range(2)], x[np.array([0, 1])], x[np.int64(1)], x[T.tensor(1)]
x[T.tensor([[0, 1], [2, 3]])]
x[[]].shape, x[T.zeros(0, dtype=L)].shape, x[T.tensor([-1, -2])], x[T.tensor([0, 1], dtype=T.int32)]
h[[0, 1]], bf[[0, 1]], bf[bf > 0], h[1:, ::2], cx[[0, 1]], (x > 3)[[0, 1]], x[:0].shape
x[:, :0][T.tensor([0])].shape
x[7] | x[-5] | x[:, 9] | x[0, 0, 0] | x[1.5] | x[::-1] | x[T.tensor([9])] | x[:, T.tensor([9])] | x[0:1.5]
x[T.tensor([0, 1]), T.tensor([0, 1, 2])] | x[T.tensor([True, False])] | x[:, T.tensor([True, False])]
x[T.tensor([1.0])] | x[T.tensor([[True]])] | x[i, i, i] | T.tensor(1.0)[0] | x[0, 0][0]
T.zeros(0, 3)[T.tensor([0])]
x.index_select(0, i), x.index_select(1, T.tensor([4, 4, 0])), bf.index_select(1, i), cx.index_select(0, i)
x.index_select(0, T.tensor([7])) | x.index_select(0, T.tensor([-1])) | x.index_select(3, i)
x.index_select(0, i.float())
x.index_select(0, x.long()) | T.index_select(x[0, 0], 0, T.tensor([0]))
T.index_select(input=x, dim=1, index=i)
z.gather(0, T.tensor([[[1, 2, 0, 1]]])), x.gather(1, g[:, :2]), x.gather(-1, g), h.gather(0, g)
cx.gather(1, g[:3, :3] % 3)
x.gather(0, i) | x.gather(1, T.tensor([[9]])) | x.gather(1, T.tensor([[1.0]]))
x.gather(1, T.zeros(5, 1, dtype=L))
x.scatter(0, g, x), x.scatter(1, g, x * 2), x.scatter(1, g, 2.5), x.scatter(0, g, 1, reduce="add")
x.scatter(0, g, x, reduce="multiply"), T.zeros(3, 5).scatter_(0, g[:1] % 3, 1.0), bf.scatter(1, g, bf)
bf.scatter(1, g, 2)
x.scatter_add(0, g, x), x.clone().scatter_add_(1, g, m), h.scatter_add(1, g, h)
x.long().scatter_add(0, g, x.long())
x.scatter(1, T.tensor([[9]]), x) | x.scatter(1, T.tensor([[0]]), x.double())
x.scatter(1, T.zeros(5, 1, dtype=L), x)
x.scatter(1, T.zeros(4, dtype=L), x) | x.scatter(1, T.zeros(4, 1), x)
x.scatter(1, T.zeros(4, 1, dtype=L), x, reduce="f")
x.scatter_add(1, T.zeros(4, 6, dtype=L), x) | x.scatter_reduce(1, T.zeros(4, 1, dtype=L), x, "foo")
x.scatter(1, T.tensor([[0]]), 1j)
x.index_add(0, i, m[:2]), x.index_add(1, T.tensor([1, 1, 3]), m[:, :3], alpha=2)
x.clone().index_add_(0, i, m[:2])
x.index_copy(0, i, m[:2]), x.clone().index_copy_(1, i, m[:, :2]), x.index_fill(0, i, 7)
x.index_fill(1, i - 1, 7)
x.clone().index_fill_(1, i, T.tensor(3.0)), x.long().index_fill(0, i, 1.5), bf.index_fill(0, i, 2)
bf.index_add(0, i, bf[:2])
x.index_reduce(0, i, m[:2], "prod"), x.index_reduce(1, T.tensor([1, 1]), m[:, :2], "amax", include_self=False)
x.index_add(0, i, x) | x.index_add(0, i, x[:2, :3]) | x.index_add(0, T.tensor([7]), x[:1])
x.index_add(0, i, x[:2].double()) | x.index_add(0, i.float(), x[:2]) | x.index_copy(0, i, x)
x.index_copy(0, i, x[:2, :3])
x.index_copy(0, i, x[:2].double()) | x.index_copy(0, T.tensor([7, 0]), x[:2])
x.index_fill(0, T.tensor([7, 0]), 1)
x.index_fill(0, i.float(), 1) | x.index_fill(0, i, x) | x.index_reduce(0, i, x[:2], "sum")
x.take(g), x.take(T.tensor([-1, 19])), x.put(g, T.ones(3, 5)), x.put(g, T.ones(3, 5), accumulate=True)
x.take(T.tensor([99])) | x.take(T.tensor([1.0])) | x.put(i, T.tensor([1.0])) | x.put(i, i)
x.put(T.tensor([1, 99]), v[:2])
T.take_along_dim(x, x.argsort(1), 1), T.take_along_dim(x, g[:1], 0), T.take_along_dim(x, T.tensor([3, 4]))
x.take_along_dim(g[:1], dim=0)
T.take_along_dim(x, i, 0) | T.take_along_dim(x, i.float(), 0)
x.masked_fill(x > 3, -1), x.masked_fill(x[0] > 3, T.tensor(2)), x.clone().masked_fill_(x > 3, float("-inf"))
bf.masked_fill(bf > 0, 1)
x.long().masked_fill(x > 3, 1.5), (x > 1).masked_fill(x > 3, 0), x.masked_fill(T.ones(2, 4, 5) > 0, 1).shape
x.masked_fill(x, 1) | x.masked_fill(i > 0, 1) | x.masked_fill(x > 3, T.ones(2))
x.masked_fill(x > 3, T.tensor(1 + 2j))
x.masked_select(x > 3), x.masked_select(x[0] > 3), bf.masked_select(bf > 0)
x.masked_scatter(x > 15, T.arange(9.0))
x.masked_select(x) | x.masked_select(i > 0) | x.masked_scatter(x > 3, T.ones(2))
x.masked_scatter(x > 3, T.ones(30).double())
x.masked_scatter(x, T.ones(30))
x.nonzero(), T.nonzero(x > 3, as_tuple=True), T.nonzero(T.tensor(1)).shape
T.nonzero(T.tensor(2), as_tuple=True), bf.nonzero()
T.argwhere(x > 12), T.where(x > 12), T.argwhere(T.tensor(1)).shape
x.index_put((i,), m[:2]), x.index_put((i, i), T.tensor(5.0))
x.index_put((i * 0, i * 0), v[:2], accumulate=True)
x.clone().index_put_((x > 3,), T.tensor(1.0)), T.index_put(x, (None, i), T.zeros(2)) if False else 0
x.index_put((i,), T.ones(3)) | x.index_put((i, i, i), T.ones(3))
x.select_scatter(T.ones(5), 0, 1), x.slice_scatter(T.ones(2, 5), 0, 1, 3), x.diagonal_scatter(T.ones(4))
x.as_strided_scatter(T.ones(2, 2), (2, 2), (1, 3))
x.select_scatter(T.ones(4), 0, 1) | x.slice_scatter(T.ones(4, 5), 0, 1, 2) | x.diagonal_scatter(T.ones(5))
x.__setitem__(0, T.ones(3)) | x.__setitem__(i, T.ones(3)) | x.__setitem__(i, T.ones(2, 5).double())
x.__setitem__(0, [1, 2])
x.__setitem__(x > 3, T.ones(2)) | x.__setitem__(0, "a") | x.__setitem__(i, 1j) | x.__setitem__(0, np.ones(5))
"""

JOIN = """
T.cat([x, x]), T.cat((x, x), 1), T.cat([x, x], -1), T.cat([x, e(0)]).shape, T.cat([e(0), x]).shape
T.cat([e(0), e(0)]).shape
T.cat([x, x.long()]).dtype, T.cat([x.long(), x.double()]), T.cat([x.bool(), x.long()])
T.cat([x.t(), x.t()[:2]]), T.cat([bf, bf], 1)
T.cat([h, bf]).dtype, T.cat((x, x), out=e(0)), T.concat([x, x]), T.concatenate([x, x], 1), T.cat([x[:0], x])
T.cat([]) | T.cat([x, x[0]]) | T.cat([x, x[:, :3]]) | T.cat([x, x], 2) | T.cat([x[0, 0], x[0, 0]]) | T.cat(x)
T.cat([x, 1])
T.cat([x, e(0, 3)])
T.stack([x, x]), T.stack([x, x], 1), T.stack([x, x], -1), T.stack([x[0, 0], x[1, 1]]), T.stack([x, x.long()])
T.stack([x.t(), x.t()])
T.stack([]) | T.stack([x, x[0]]) | T.stack([x, x], 3) | T.stack([x, 1])
T.hstack([v, v]), T.hstack([x, x]), T.vstack([v, v]), T.dstack([x, x]), T.column_stack([w, x])
T.row_stack([v, v]), T.dstack([v, v])
T.block_diag(x, i[0], i), T.block_diag().shape, T.block_diag(v, m)
T.block_diag(x[None])
T.split(x, 3), x.split(2, 1), x.split([1, 3]), T.chunk(x, 3), x.chunk(2, 1), T.ones(0, 3).chunk(3)
T.ones(0, 3).split(3), T.split(T.ones(0), 0)
x.tensor_split(3), x.tensor_split((1, 9)), x.tensor_split(T.tensor([1, 3]), 1), T.hsplit(x, [1, 2])
T.vsplit(x, 2), T.dsplit(z, 5), T.hsplit(v, 5)
T.split(x, [1, 2]) | T.split(x, -1) | T.split(x, 0) | T.split(x, [5, -1]) | T.split(x, 3, 2) | x.chunk(0)
x.chunk(3, 4)
T.tensor(1).split(1) | T.tensor(1).chunk(1) | x.tensor_split(0) | T.hsplit(x, 2) | T.hsplit(x[0, 0], 2)
T.vsplit(x[0], 2) | T.vsplit(x, 3)
x.unbind(), x.unbind(1), T.unbind(x, -1)
T.tensor(1).unbind() | x.unbind(2)
T.meshgrid(v, w, indexing="ij"), T.meshgrid(v, w, indexing="xy"), T.meshgrid([v, w, i.float()])
T.cartesian_prod(i, v.long()), T.cartesian_prod(i)
T.combinations(v), T.combinations(v, 3), T.combinations(v, 2, True), T.combinations(i, 0).shape
T.combinations(i, 3).shape
T.meshgrid(i, x) | T.meshgrid(i, i, indexing="xx") | T.meshgrid() | T.meshgrid(i, i.float())
T.cartesian_prod(x) | T.combinations(x)
x.repeat(2, 1), x.repeat(2, 3, 1), T.tensor(1).repeat(3), x.repeat((1, 2)), x.tile((2,)), x.tile((2, 2, 2))
x.repeat(0, 1).shape, x.tile(2, 1)
x.repeat(2) | x.repeat(2, -1)
x.repeat_interleave(2), x.repeat_interleave(2, 0), x.repeat_interleave(T.tensor([1, 2, 0, 3]), 0)
T.repeat_interleave(T.tensor([1, 2, 3]))
x.repeat_interleave(T.tensor(2), 1)
x.repeat_interleave(-1) | x.repeat_interleave(i) | x.repeat_interleave(T.tensor([1, 2, -1, 3]), 0)
x.repeat_interleave(T.tensor([1.0, 2, 1, 3]), 0)
x.roll(1), x.roll(-2, 1), x.roll((1, 2), (0, 1)), x.flip(0), x.flip((0, 1)), x.flip(0, 1), T.rot90(x)
T.rot90(x, 2), T.rot90(x, 3), T.rot90(x, -1, (1, 0))
T.fliplr(x), T.flipud(x), bf.flip(1), bf.roll(1, 0)
x.roll((1, 2), 0) | x.roll(1, (0, 1)) | x.roll(1, 5) | x.flip(0, 0) | x.flip(3) | T.rot90(x, 1, (0, 0))
T.rot90(x, 1, (0,)) | T.rot90(x, 1, (0, 5))
T.fliplr(x[0]) | T.flipud(x[0, 0]) | T.rot90(x[0], 1, (0, 1))
x.cumsum(0), x.cumsum(-1), T.cumsum(x.bool(), 1), x.cumsum(0, dtype=T.float64), k.cumsum(0), m.cumprod(1)
T.cumprod(k[:5], 0), bf.cumsum(1), cx.cumsum(0)
m.logcumsumexp(0), T.tensor(2.0).cumsum(0), T.cumsum(x[:0], 0).shape, T.cummax(few, 1), T.cummin(few, 0)
T.cummax(nan, 0), T.cummin(nan, 0), T.cummax(x > 3, 0)
T.diff(m), T.diff(m, n=2, dim=0), T.diff(x > 3), T.diff(m, prepend=m[:, :1], append=m), T.diff(x, n=9).shape
T.diff(k)
T.cumsum(x, 3) | T.logcumsumexp(x.long(), 0) | T.diff(x, n=-1) | T.diff(x[0, 0]) | T.cummax(x, 3)
T.atleast_1d(x[0, 0]), T.atleast_2d(v), T.atleast_3d(v, x)
"""

SORT = """
few.sort(stable=True), few.sort(stable=True, dim=0, descending=True), few.argsort(stable=True), nan.sort()
nan.sort(descending=True), T.msort(few), k.sort(stable=True)
T.sort(x[0, 0]), few.long().sort(stable=True, dim=0), (few > 0).sort(stable=True), bf.sort(), h.sort(dim=0)
T.argsort(few, stable=True, descending=True, dim=0)
T.sort(x, 2) | T.sort(x + 1j) | few.sort(5)
m.topk(2), m.topk(3, 0), m.topk(2, largest=False), nan.topk(3).values, x.topk(0), T.topk(x[0, 0], 1)
bf.topk(2), T.arange(1000.0).topk(5)
T.topk(x, 9) | T.topk(x, -1) | T.topk(x, 2, 3) | T.topk(x[0, 0], 2) | T.topk(x > 1, 2)
m.kthvalue(2), m.kthvalue(1, 0, True), m.median(), m.median(0), m.median(1, keepdim=True), nan.median()
nan.nanmedian(), nan.nanmedian(0), nan.median(0), k.median()
few.mode(1).values, few.mode(0, keepdim=True).values, m.mode(0)
T.kthvalue(x, 9) | T.kthvalue(x, 0) | T.median(e(0, 3), 0) | T.median(x, 3) | T.mode(e(0, 3), 0)
few.max(), few.max(1), few.max(dim=0, keepdim=True), few.max(-few), few.min(), few.min(0), T.max(few, 1)
T.min(few, few[0]), nan.max(), nan.max(0), nan.min(0), k.max(), k.max(0), (few > 0).max(1), (few > 0).max()
few.argmax(), few.argmin(), few.argmax(1), few.argmax(0, True), few.argmax(keepdim=True), nan.argmax()
nan.argmin(), T.argmax(e(0, 3), 1).shape, T.tensor(3.0).argmax(), T.tensor(3.0).max(0), bf.argmax(1)
k.argmin()
T.max(e(0)) | T.max(e(0, 3), 0) | T.max(x, 3) | T.max(x + 1j, 0) | T.argmax(e(0)) | T.argmax(e(0, 3), 0)
T.argmax(x, 2) | T.argmax(x > 1) | T.argmax(x + 1j)
T.aminmax(few), T.aminmax(few, dim=0, keepdim=True), T.max(e(0, 3), 1)
T.aminmax(e(0))
T.histc(x, 5), T.histc(m, 10, -1, 1), T.histc(T.ones(4), 3), T.bincount(k), T.bincount(k, minlength=20)
T.bincount(i, v[:2]), T.bincount(i, i), T.bincount(i[:0])
T.histc(x, 0) | T.histc(x, 5, 3, 1) | T.histc(x.long()) | T.bincount(x[0]) | T.bincount(i - 5)
T.bincount(i, T.ones(3)) | T.bincount(i, minlength=-1)
T.searchsorted(x[0], m), T.searchsorted(x, m, right=True), T.searchsorted(x[0], 2.5), T.searchsorted(x[0], i)
T.searchsorted(x[0], m.double(), side="right"), T.searchsorted(k.sort()[0], k, out_int32=True)
T.searchsorted(v, m, sorter=v.argsort()), T.bucketize(m, x[0]), T.bucketize(2.5, x[0])
T.bucketize(k, T.tensor([1, 5, 7]), right=True), T.searchsorted(nan.sort()[0], nan)
T.searchsorted(x, x[:2]) | T.searchsorted(x[0], x, right=True, side="left")
T.searchsorted(x[0], x, side="foo") | T.bucketize(x, x)
T.isin(x, T.tensor([1.0, 2.0])), T.isin(x, 2), T.isin(2, x), T.isin(k, T.tensor([1, 2]), invert=True)
T.unique(few), T.unique(few, return_inverse=True, return_counts=True), T.unique(few, dim=0)
T.unique(k % 2, return_counts=True), few.unique(dim=1, return_inverse=True), T.unique(few > 0), T.unique(nan)
T.unique(bf)
T.unique_consecutive(T.tensor([1, 1, 2, 2, 1]), return_inverse=True, return_counts=True)
T.unique_consecutive(x > 3, dim=0), few.unique_consecutive()
T.unique(x, dim=3)
"""

LINALG = """
m @ n, m.mm(n), m.t() @ m, n.t() @ m.t(), m[::2] @ n, T.mm(input=m, mat2=n), x.long() @ x.long().t()
h @ h.t(), bf.mm(bf.t()), cx @ cx, d @ d
b @ c, b.bmm(c), b @ n, m @ c, b @ v, v @ c, v @ n, m @ v, v @ v, v.dot(v), z @ n, T.matmul(z, c[:1])
T.matmul(b[:, None], c[None]), m.mv(v), T.vdot(v, v), k @ k, T.vdot(cx[0], cx[1])
b.transpose(1, 2) @ b, z.permute(1, 0, 2) @ n, m.expand(2, 4, 5) @ c, T.zeros(0, 5) @ n
T.zeros(4, 0) @ T.zeros(0, 3), T.zeros(2, 0, 5) @ c, x.int() @ x.int().t(), (x * 1e18).long() @ x.long().t()
x.to(T.uint8) @ x.to(T.uint8).t()
T.addmm(T.ones(3), m, n), T.addmm(T.ones(4, 3), m, n, beta=0.5, alpha=2)
T.addmm(T.full((4, 3), float("nan")), m, n, beta=0), T.ones(4, 3).addmm_(m, n), T.addmv(w, m, v)
T.addmv(w, m, v, beta=2, alpha=3)
T.baddbmm(T.ones(4, 3), b, c), T.addbmm(T.ones(4, 3), b, c, beta=2, alpha=3), T.addr(T.ones(4, 5), w, v)
T.outer(w, v), T.ger(w, v), T.outer(i, v), T.inner(m, m), T.inner(v, v), T.inner(m, x[0, 0]), T.kron(m, n)
T.kron(v, m)
T.tensordot(m, n, 1), T.tensordot(z, b, dims=([1, 2], [1, 2])), T.tensordot(m, m, 2), T.tensordot(v, w, 0)
T.chain_matmul(m, n, n.t()), T.linalg.multi_dot([m, n, n.t()]), T.linalg.multi_dot([w, m, v])
a0 if False else T.einsum("ij,jk->ik", m, n), T.einsum("ij,jk", m, n), T.einsum("bij,bjk->bik", b, c)
T.einsum("i,j->ij", w, v), T.einsum("ii->i", d), T.einsum("ii", d), T.einsum("ij->ji", m), T.einsum("ij->", m)
T.einsum("...ij,...jk->...ik", b, c)
T.einsum("bhqd,bhkd->bhqk", z[None], z[None]), T.einsum("ij,kj->ik", m, m), T.einsum("ij,ij->i", m, m)
T.einsum("ij,ij->ij", m, m), T.einsum("i,ij,j", w, m, v), T.einsum("bij->bj", b)
T.einsum("bn,anm,bm->ba", w[None, :], z.transpose(0, 2)[:, :, :], T.ones(1, 3))
T.einsum(m, [0, 1], n, [1, 2], [0, 2]), T.einsum("i...->...", m)
m.mm(m) | m @ m | T.mm(v, m) | T.mm(m, v) | T.mm(m.double(), n) | T.addmm(T.ones(5), m, m)
T.addmm(T.ones(6), m, n) | T.addmm(T.ones(3), m.double(), n) | T.addmm(T.ones(3).double(), m, n) | T.bmm(m, n)
T.bmm(b, n) | T.bmm(b, b) | T.bmm(b, c[:1])
T.mv(m, w) | T.mv(v, v) | T.dot(v, w) | T.dot(m, m) | T.dot(v, v.double()) | T.matmul(m, w) | T.matmul(w, n)
T.matmul(v, w) | T.matmul(x[0, 0], m) | T.matmul(z, b) | T.matmul(b, b) | T.matmul(b, m) | T.matmul(b, w)
T.mm(x > 1, (x > 1).t()) | T.mm(m, 2) | m @ 2
T.addmv(w, m, w) | T.addmv(v, m, v) | T.baddbmm(T.ones(2, 2, 2), b, c) | T.addbmm(T.ones(2, 2), b, c)
T.addr(T.ones(3, 3), w, v) | T.outer(m, v) | T.inner(m, n) | T.tensordot(m, m, dims=1)
T.tensordot(m, m, dims=([0], [0, 1]))
T.einsum("ij,jk->ik", m, m) | T.einsum("ij,jk", m) | T.einsum("ijk", m) | T.einsum("ij->kk", m)
T.einsum("ij->k", m) | T.trace(v) | T.linalg.multi_dot([m]) | T.linalg.multi_dot([m, m]) | T.chain_matmul(v)
T.trace(d), T.diag(v), T.diag(m), T.diag(m, 1), T.diag(v, -1), T.diagflat(m), T.diag_embed(m)
T.diag_embed(m, 1, 0, 2), T.tril(m), T.triu(m, 1), T.tril(x > 3), T.tril(b, -1), m.clone().tril_()
T.tril_indices(3, 4), T.triu_indices(3, 3, 1)
T.cross(z.transpose(0, 2), z.transpose(0, 2)), T.linalg.cross(d, d[0:1].expand(3, 3)), T.cdist(m, x)
T.cdist(b, b, 1), T.cdist(m, x, float("inf")), T.cdist(m, m, 3)
m.norm(), m.norm(1), m.norm(2, 0), m.norm(float("inf"), 1, True), m.norm("fro"), m.norm(0), m.norm(3, 1)
T.linalg.norm(m), T.linalg.norm(m, 1), T.linalg.norm(v, 3), T.linalg.vector_norm(m, 2, (0, 1))
T.linalg.norm(m, "fro", (0, 1)), T.linalg.matrix_norm(b), T.linalg.matrix_norm(m, float("inf"))
m.renorm(2, 0, 1.0), T.dist(m, x)
T.diag(T.ones(2, 2, 2)) | T.tril(v) | T.cross(v, v) | T.linalg.cross(m, m) | T.cdist(m, n) | T.cdist(v, n)
T.linalg.norm(m.long()) | T.linalg.matrix_norm(v) | T.linalg.norm(m, "abc") | T.diag_embed(m, dim1=0, dim2=0)
"""

LAPACK = """
T.linalg.inv(spd), T.inverse(d), T.linalg.solve(d, d[0]), T.linalg.solve(spd, bd)
T.linalg.solve(d, d, left=False)
T.linalg.det(spd), T.det(d), T.slogdet(d), T.linalg.slogdet(spd), T.logdet(spd), T.linalg.cholesky(spd)
T.linalg.cholesky(spd, upper=True), T.linalg.eigh(spd)[0], T.linalg.eigvalsh(d), T.linalg.svdvals(bd)
T.linalg.svd(bd)[1]
T.linalg.pinv(bd), T.linalg.matrix_rank(bd), T.linalg.matrix_rank(T.ones(3, 3)), T.linalg.matrix_power(d, 3)
T.linalg.matrix_power(d, -2), T.linalg.matrix_power(d, 0), T.matrix_exp(d), T.matrix_exp(spd * 3)
T.linalg.cond(d), T.linalg.cond(d, 1)
T.linalg.solve_triangular(d, d, upper=True)
T.linalg.solve_triangular(d, d, upper=False, left=False, unitriangular=True)
T.cholesky_solve(d, spd[0, :3, :3]), T.cholesky_inverse(T.linalg.cholesky(d @ d.t()))
T.linalg.lstsq(d, d[:, :1])[0], T.linalg.lu_factor(d)
m.norm("nuc"), T.linalg.norm(m, 2), T.linalg.matrix_norm(bd, -2), T.linalg.qr(bd)[1].abs()
T.linalg.eigvals(spd).real.sort()[0]
T.linalg.inv(T.ones(3, 3)) | T.linalg.inv(m) | T.linalg.inv(v) | T.linalg.inv(x.long())
T.linalg.inv(T.stack([T.eye(3), T.ones(3, 3)]))
T.linalg.solve(T.ones(3, 3), v[:3]) | T.linalg.solve(m, v) | T.linalg.solve(T.eye(3), T.ones(2))
T.linalg.det(m)
T.linalg.cholesky(-T.ones(3, 3)) | T.linalg.cholesky(T.stack([T.eye(3), -T.eye(3)])) | T.linalg.qr(v)
T.linalg.qr(m, "foo")
T.linalg.svd(v) | T.linalg.eigh(m) | T.linalg.matrix_power(m, 2) | T.linalg.matrix_rank(v) | T.linalg.pinv(v)
T.matrix_exp(m)
T.linalg.lstsq(T.ones(3, 3), m) | T.linalg.solve_triangular(d, m, upper=True) | T.linalg.eig(m)
T.linalg.cond(m, 1)
"""


def split_top(line):
    "The expressions of a line between its top-level commas."
    parts, depth, start, quote = [], 0, 0, False
    for at, c in enumerate(line):
        if c == '"':
            quote = not quote
        elif not quote and c in "([{":
            depth += 1
        elif not quote and c in ")]}":
            depth -= 1
        elif not quote and c == "," and depth == 0:
            parts.append(line[start:at].strip())
            start = at + 1
    return [p for p in (*parts, line[start:].strip()) if p]


def expressions(text):
    out = []
    for line in text.strip().split("\n"):
        out += [p.strip() for p in line.split(" | ")] if " | " in line else split_top(line)
    return list(dict.fromkeys(out))


def outcome(T, code):
    s = samples(T)
    try:
        return eval(code, {"__builtins__": __builtins__}, s)
    except Exception as e:
        return e


def plain(value):
    if hasattr(value, "tolist") and hasattr(value, "dtype") and not isinstance(value, np.ndarray):
        d = str(value.dtype)
        kept = value.detach()
        if d in ("torch.bfloat16", "torch.float16"):
            kept = kept.float()
        return d, kept.numpy()
    return value


def check(got, want, code):
    if isinstance(want, Exception):
        assert isinstance(got, Exception), f"{code}: no error; PyTorch: {want}"
        first = [(type(e).__name__, str(e).split("\n")[0]) for e in (got, want)]
        assert first[0] == first[1], code
        return
    if isinstance(got, Exception):
        raise AssertionError(f"{code}: {type(got).__name__}: {got}") from got
    if isinstance(want, (tuple, list)) and not isinstance(want, torch.Size):
        assert len(got) == len(want), code
        assert type(got).__name__ == type(want).__name__, code
        for g, w in zip(got, want):
            check(g, w, code)
        return
    g, w = plain(got), plain(want)
    if isinstance(w, tuple) and len(w) == 2 and isinstance(w[1], np.ndarray):
        assert g[0] == w[0], f"{code}: dtype {g[0]}, PyTorch {w[0]}"
        tol = {"torch.bfloat16": 1e-2, "torch.float16": 2e-3, "torch.float64": 1e-10}.get(w[0], 2e-5)
        assert g[1].shape == w[1].shape, f"{code}: shape {g[1].shape}, PyTorch {w[1].shape}"
        np.testing.assert_allclose(g[1], w[1], rtol=tol, atol=tol / 10, err_msg=code)
    elif hasattr(w, "name") or "torch" in str(type(w)):
        assert str(g) == str(w), code
    else:
        assert g == w, code


ALL = expressions(INDEX) + expressions(JOIN) + expressions(SORT) + expressions(LINALG) + expressions(LAPACK)


@pytest.mark.parametrize("code", ALL)
def test_same_result(code):
    check(outcome(numtorch, code), outcome(torch, code), code)


WRITES = """
x[0] = 5 ; x[1, 2] = 7 ; x[:, 1] = v[:4] ; x[::2, 1:3] = 0 ; x[..., 0] = T.tensor(3.0) ; x[i] = m[:2]
x[i, i] = 9
x[x > 3] = 0 ; x[x > 3] = T.tensor(2.0) ; x[x[:, 0] > 3] = m[:1] ; x[x > 15] = T.arange(4.0)
x[[0, 0, 0]] = m[:3]
z[:, i, i] = 1 ; z[i, :, i] = T.ones(2, 4) ; z[0, i] = m[:2] ; x[True] = 4 ; x[False] = 4
x[:, [0, 2]] = T.zeros(1, 1, 4, 2)
x[0] = T.ones(1, 5).double() ; x[i] += 1 ; x[1] *= 2 ; x[x > 3] += 1 ; x[None, 0] = 2 ; bf[0] = 1.5
bf[[0, 1]] = bf[2:].clone() ; h[h > 0] = 0
x[0] = x[1] ; x[1:] = x[:-1].clone() ; x.t()[0] = 5 ; x.t()[i] = 8 ; x[1:3][:, i] = 3 ; k[k > 3] = 0
k[0] = 2.7 ; cx[0, 0] = 1j
"""


@pytest.mark.parametrize("code", WRITES.strip().replace(" ; ", "\n").split("\n"))
def test_same_write(code):
    got, want = samples(numtorch), samples(torch)
    exec(code, {}, got)
    exec(code, {}, want)
    for name in ("x", "z", "bf", "h", "k", "cx"):
        check(got[name], want[name], code)


GRADS = """
m[1:, ::2] | m[[0, 0, 2]] | m[m > 0] | m[[0, 1], [0, 0]] | b[:, [0, 1, 0]] | b[[0, 1], :, [1, 1]] | m[1, 2]
m[None, 1]
m.index_select(0, i) | m.index_select(1, T.tensor([1, 1, 0])) | m.gather(1, g) | m.gather(0, g[:2, :3])
m.take(g)
m.scatter(1, g, n.t()) | m.scatter(1, g, 2.0) | m.scatter_add(0, g, n.t())
m.scatter_add(1, g[:2, :3], n.t()[:2, :3])
m.scatter_reduce(1, g, n.t(), "sum", include_self=False) | m.scatter_reduce(1, g, n.t(), "mean")
m.scatter_reduce(1, g, n.t(), "amax") | m.scatter_reduce(1, g, n.t(), "amin", include_self=False)
m.scatter_reduce(1, g, n.t(), "prod") | m.scatter_reduce(1, g, n.t(), "mean", include_self=False)
m.index_add(0, i, m[2:], alpha=3) | m.index_copy(0, i, m[2:]) | m.index_fill(0, i, 3.0)
m.index_put((i,), m[2:])
m.index_put((i, i), v[:2]) | m.index_put((i * 0, i), v[:2], accumulate=True) | m.index_put((i,), v)
m.put(g, n.t())
m.masked_fill(m > 0, 1.0) | m.masked_select(m > 0) | m.masked_scatter(m > 0, n.repeat(2, 1))
T.take_along_dim(m, m.argsort(1), 1)
m.select_scatter(v, 0, 1) | m.slice_scatter(m[:2] * 2, 0, 1, 3) | m.diagonal_scatter(w)
m.index_reduce(0, i, m[2:], "amax")
T.cat([m, m * 2], 1) | T.stack([m, m * 3], 1) | T.cat([e(0), m]) | m.split(2)[0] * 2 | m.split([1, 3])[1]
m.unbind(1)[2] | sum(m.unbind(0))
m.chunk(3)[1] | m.tensor_split(3)[0] | m.repeat(2, 2) | m.repeat_interleave(2, 0) | m.tile((2,))
m.roll(2, 1) | m.flip(1) | T.rot90(m)
T.block_diag(m, n) | T.hstack([m, m]) | m.repeat_interleave(T.tensor([1, 0, 2, 1]), 0)
T.meshgrid(v, w, indexing="ij")[0]
m.cumsum(1) | m.cumprod(1) | m.logcumsumexp(1) | m.cummax(1)[0] | m.cummin(0)[0] | T.diff(m, dim=0)
(m * (m > 0)).cumprod(1)
m.sort(1)[0] | m.sort(0, descending=True)[0] | m.topk(2)[0] | m.kthvalue(2)[0] | m.median() | m.median(0)[0]
m.mode(0)[0]
m.max() | m.max(1)[0] | m.min(0, keepdim=True)[0] | T.max(m, m.flip(0)) | T.aminmax(m)[1] | m.nanmedian(1)[0]
m @ n | m.mm(n) | b @ c | b @ n | m @ c | m @ v | v @ n | v.dot(v) | b @ v | m.mv(v)
T.addmm(v[:3], m, n, beta=2, alpha=3)
T.addmm(m @ n, m, n) | T.addmv(w, m, v, beta=2, alpha=3) | T.baddbmm(m @ n, b, c, beta=2)
T.addbmm(m @ n, b, c, alpha=2) | T.addr(m, w, v)
T.outer(w, v) | T.einsum("ij,jk->ik", m, n) | T.einsum("bij,bjk->bik", b, c) | T.einsum("ij,ij->i", m, m)
T.kron(m, n)
T.tensordot(b, c, dims=([2], [1])) | T.linalg.multi_dot([m, n, n.t()]) | T.trace(m[:4, :4]) | m.diag()
v.diag() | T.diag_embed(m)
m.tril() | m.triu(1) | T.cdist(m, n.t()) | T.cdist(m, n.t(), 1) | T.cdist(m, n.t(), 3)
T.cdist(m, n.t(), float("inf")) | T.cdist(m, m)
m.norm() | m.norm(1) | m.norm(3, 1) | m.norm(float("inf")) | m.norm(2, 0) | T.linalg.vector_norm(m * 0)
m.renorm(2, 0, 1.0) | T.linalg.matrix_norm(b, 1)
T.linalg.inv(sq) | T.linalg.solve(sq, m[:3].t()[:3]) | T.det(sq) | T.linalg.slogdet(sq)[1]
T.linalg.cholesky(sq @ sq.t())
T.linalg.eigh(sq @ sq.t())[0] | T.linalg.eigh(sq @ sq.t())[1].abs() | T.linalg.svdvals(m)
T.linalg.svd(m, False)[0].abs()
T.linalg.svd(m, False)[2].abs() | T.linalg.qr(n)[1] | T.linalg.qr(n)[0] | T.linalg.pinv(m)
T.linalg.matrix_power(sq, -2)
T.linalg.matrix_exp(sq) | T.linalg.solve_triangular(sq, sq, upper=True) | m.norm("nuc")
T.linalg.lstsq(n, v[:, None])[0]
T.linalg.solve_triangular(sq, sq, upper=False, unitriangular=True) | T.logdet(sq @ sq.t())
T.linalg.norm(m, 2)
T.linalg.cross(n[:4], n[:4].flip(0)) | (cx @ cx).abs()
"""


def gradients(T, code):
    s = samples(T)
    s = {k: v.double() if hasattr(v, "dtype") and v.dtype is T.float32 else v for k, v in s.items()}
    s["e"] = lambda *shape: T.empty(*shape, dtype=T.float64)
    for name in ("m", "n", "b", "c", "v", "w", "cx"):
        s[name] = s[name].detach().requires_grad_()
    s["sq"] = s["n"][:3] + 2 * T.eye(3, dtype=T.float64)
    out = eval(code, {}, s)
    weight = T.arange(1.0, out.numel() + 1, dtype=T.float64).reshape(out.shape)
    inputs = [s[name] for name in ("m", "n", "b", "c", "v", "w", "cx")]
    first = T.autograd.grad((out * weight).sum(), inputs, create_graph=True, allow_unused=True)
    total = sum((g * g.detach().cos() if g.dtype is T.float64 else (g * g.conj()).real).sum()
                for g in first if g is not None)
    second = [None] * len(inputs)
    if total.requires_grad and "cdist" not in code and "m * 0" not in code:  # PyTorch has none, or NaN
        second = T.autograd.grad(total, inputs, allow_unused=True)
    return [g for g in first], second


@pytest.mark.parametrize("code", GRADS.strip().replace(" | ", "\n").split("\n"))
def test_same_gradient(code):
    want = gradients(torch, code)
    got = gradients(numtorch, code)
    for order, (gs, ws) in enumerate(zip(got, want)):
        for g, w in zip(gs, ws):
            w = None if w is None else w.detach().numpy(force=True)
            g = None if g is None else g.detach().numpy(force=True)
            if w is None or g is None:
                assert (w is None or not w.any()) and (g is None or not g.any()), f"{code}, order {order + 1}"
            else:
                # cx is complex64: sums of products of numbers near 5, rounded in float32
                rtol, atol = (2e-6, 1e-5) if g.dtype == np.complex64 else (1e-7, 1e-8)
                np.testing.assert_allclose(g, w, rtol=rtol, atol=atol, err_msg=f"{code}, order {order + 1}")
