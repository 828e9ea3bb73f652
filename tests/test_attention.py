"""torch.nn.attention."""
import pytest

import numtorch as nt
from numtorch.nn.attention import SDPBackend, sdpa_kernel
from numtorch.nn.attention.flex_attention import and_masks, create_block_mask, create_mask, flex_attention
from numtorch.nn.functional import scaled_dot_product_attention


def test_backends_are_chosen():
    b = nt.backends.cuda
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
        assert b.math_sdp_enabled() and b.flash_sdp_enabled() and not b.mem_efficient_sdp_enabled()
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            assert not b.math_sdp_enabled() and b.cudnn_sdp_enabled()
    assert b.mem_efficient_sdp_enabled() and b.math_sdp_enabled()


def test_flex_attention():
    q, k, v = (nt.randn(2, 4, 8, 5, requires_grad=True) for _ in range(3))
    assert nt.allclose(flex_attention(q, k, v), scaled_dot_product_attention(q, k, v), atol=1e-6)
    causal = lambda b, h, q, k: q >= k
    mask = create_block_mask(causal, None, None, 8, 8, BLOCK_SIZE=4)
    out, lse = flex_attention(q, k, v, block_mask=mask, return_lse=True)
    assert nt.allclose(out, scaled_dot_product_attention(q, k, v, is_causal=True), atol=1e-6)
    assert lse.shape == (2, 4, 8) and mask.to_dense().tolist() == [[[[1, 0], [1,
                                                                              1]]]] and mask.sparsity() == 25
    slopes = nt.linspace(0, 1, 4)
    bias = lambda s, b, h, q, k: s + slopes[h] * (k - q)
    i = nt.arange(8)
    wanted = scaled_dot_product_attention(q, k, v, slopes.reshape(4, 1, 1) * (i[None] - i[:, None]))
    out = flex_attention(q, k, v, bias)
    assert nt.allclose(out, wanted, atol=1e-5)
    out.sum().backward()
    near = create_mask(and_masks(causal, lambda b, h, q, k: q - k < 2), 1, 1, 4, 4)
    assert near[0, 0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]


def test_flex_attention_groups_heads():
    q, k, v = nt.randn(1, 4, 3, 5), nt.randn(1, 2, 3, 5), nt.randn(1, 2, 3, 5)
    out = flex_attention(q, k, v, enable_gqa=True)
    assert nt.allclose(out, scaled_dot_product_attention(q, k, v, enable_gqa=True), atol=1e-6)
    with pytest.raises(ValueError, match="Try setting enable_gqa=True"):
        flex_attention(q, k, v)
