"""Convolution over one to three spatial dimensions: y = w * x, and its two adjoints.

Every case is brought to three spatial dimensions (size 1 where the problem has fewer) and, but for grouped
convolutions of few channels, to matrix products: with C input channels, K taps and P output pixels,

    y[O, P]  = w[O, C K]   columns[C K, P]        columns = im2col(x)
    gx       = col2im(w[O, C K]ᵀ g[O, P])
    gw       = g[O, P]     columns[C K, P]ᵀ

`columns` is made for a block of pixels at a time, so that it stays in cache: of several whole images or of
some lines of one. A transposed convolution is the adjoint, so it needs no code of its own.
"""
from functools import lru_cache
from math import prod
from threading import local

import numpy as np

from ..jit import kernel, launch

BLOCK_BYTES = 1 << 21     # columns of one block: about an L2 cache
BLOCK_PIXELS = 1024       # but no fewer than these, so that packing the weight is amortised
WIDE = 256                # pixels of an image from which it gets its own matrix product
DIRECT_CHANNELS = 4       # grouped convolutions of up to so many channels per group run without columns

_scratch = local()


# Order of the numbers in a geometry: one place for its writer (`_geometry`) and the kernels that read it.
# 0 channels | 1-3 input size | 4-6 output size | 7-9 taps | 10-12 stride | 13-15 padding | 16-18 dilation

@kernel
def im2col(lo, hi, columns, x, geometry, first, images, line, last, row_stride, image_stride):
    """columns[(c, tap), image, pixel] = x[first + image, c, pixel * stride + tap * dilation - padding].

    Items are (row, image). Output lines `line` to `last` of each image are written; zeros outside x."""
    channels = geometry[0]
    depth, height, width = geometry[1], geometry[2], geometry[3]
    out_height, out_width = geometry[5], geometry[6]
    kd, kh, kw = geometry[7], geometry[8], geometry[9]
    sd, sh, sw = geometry[10], geometry[11], geometry[12]
    for item in range(lo, hi):
        row = item // images
        image = item - row * images
        tap = row % (kd * kh * kw)
        channel = row // (kd * kh * kw)
        shift_z = tap // (kh * kw) * geometry[16] - geometry[13]
        shift_y = tap // kw % kh * geometry[17] - geometry[14]
        shift = tap % kw * geometry[18] - geometry[15]
        left = 0
        if shift < 0:
            left = min((sw - 1 - shift) // sw, out_width)
        right = 0
        if width > shift:
            right = min((width - shift + sw - 1) // sw, out_width)
        right = max(left, right)
        plane = ((first + image) * channels + channel) * depth * height * width
        to = row * row_stride + image * image_stride
        for at in range(line, last):
            z = at // out_height * sd + shift_z
            y = at % out_height * sh + shift_y
            if z < 0 or z >= depth or y < 0 or y >= height:
                for i in range(out_width):
                    columns[to + i] = 0
            else:
                source = plane + (z * height + y) * width + shift
                for i in range(left):
                    columns[to + i] = 0
                if sw == 1:
                    for i in range(left, right):
                        columns[to + i] = x[source + i]
                else:
                    for i in range(left, right):
                        columns[to + i] = x[source + i * sw]
                for i in range(right, out_width):
                    columns[to + i] = 0
            to += out_width


@kernel
def col2im(lo, hi, x, columns, geometry, first, images, line, last, row_stride, image_stride):
    """x[first + image, c, pixel * stride + tap * dilation - padding] += columns[(c, tap), image, pixel].

    Items are (image, channel), so that no two of them write the same place."""
    channels = geometry[0]
    depth, height, width = geometry[1], geometry[2], geometry[3]
    out_height, out_width = geometry[5], geometry[6]
    kd, kh, kw = geometry[7], geometry[8], geometry[9]
    sd, sh, sw = geometry[10], geometry[11], geometry[12]
    taps = kd * kh * kw
    for item in range(lo, hi):
        image = item // channels
        channel = item - image * channels
        plane = ((first + image) * channels + channel) * depth * height * width
        for tap in range(taps):
            shift_z = tap // (kh * kw) * geometry[16] - geometry[13]
            shift_y = tap // kw % kh * geometry[17] - geometry[14]
            shift = tap % kw * geometry[18] - geometry[15]
            left = 0
            if shift < 0:
                left = min((sw - 1 - shift) // sw, out_width)
            right = 0
            if width > shift:
                right = min((width - shift + sw - 1) // sw, out_width)
            source = (channel * taps + tap) * row_stride + image * image_stride
            for at in range(line, last):
                z = at // out_height * sd + shift_z
                y = at % out_height * sh + shift_y
                if z >= 0 and z < depth and y >= 0 and y < height:
                    to = plane + (z * height + y) * width + shift
                    if sw == 1:
                        for i in range(left, right):
                            x[to + i] += columns[source + i]
                    else:
                        for i in range(left, right):
                            x[to + i * sw] += columns[source + i]
                source += out_width


@kernel
def direct(lo, hi, out, x, weight, geometry, filters, shared):
    """out[n, o] = Σ_c w[o, c] * x[n, group(o), c] for groups of `shared` channels and any taps.

    Items are (image, filter); `filters` of them per image."""
    channels = geometry[0]
    depth, height, width = geometry[1], geometry[2], geometry[3]
    out_depth, out_height, out_width = geometry[4], geometry[5], geometry[6]
    kd, kh, kw = geometry[7], geometry[8], geometry[9]
    sd, sh, sw = geometry[10], geometry[11], geometry[12]
    taps = kd * kh * kw
    per_group = filters * shared // channels
    for item in range(lo, hi):
        n = item // filters
        o = item - n * filters
        base = item * out_depth * out_height * out_width
        for i in range(out_depth * out_height * out_width):
            out[base + i] = 0
        for c in range(shared):
            plane = (n * channels + o // per_group * shared + c) * depth * height * width
            for tap in range(taps):
                factor = weight[(o * shared + c) * taps + tap]
                shift_z = tap // (kh * kw) * geometry[16] - geometry[13]
                shift_y = tap // kw % kh * geometry[17] - geometry[14]
                shift = tap % kw * geometry[18] - geometry[15]
                left = 0
                if shift < 0:
                    left = min((sw - 1 - shift) // sw, out_width)
                right = 0
                if width > shift:
                    right = min((width - shift + sw - 1) // sw, out_width)
                for at in range(out_depth * out_height):
                    z = at // out_height * sd + shift_z
                    y = at % out_height * sh + shift_y
                    if z >= 0 and z < depth and y >= 0 and y < height:
                        to = base + at * out_width
                        source = plane + (z * height + y) * width + shift
                        if sw == 1:
                            for i in range(left, right):
                                out[to + i] += factor * x[source + i]
                        else:
                            for i in range(left, right):
                                out[to + i] += factor * x[source + i * sw]


@kernel
def direct_input(lo, hi, x, g, weight, geometry, filters, shared):
    """x[n, c] = Σ_o of c's group w[o, c]ᵀ * g[n, o]. Items are (image, channel)."""
    channels = geometry[0]
    depth, height, width = geometry[1], geometry[2], geometry[3]
    out_depth, out_height, out_width = geometry[4], geometry[5], geometry[6]
    kd, kh, kw = geometry[7], geometry[8], geometry[9]
    sd, sh, sw = geometry[10], geometry[11], geometry[12]
    taps = kd * kh * kw
    per_group = filters * shared // channels
    for item in range(lo, hi):
        n = item // channels
        c = item - n * channels
        plane = item * depth * height * width
        for i in range(depth * height * width):
            x[plane + i] = 0
        for j in range(per_group):
            o = c // shared * per_group + j
            base = (n * filters + o) * out_depth * out_height * out_width
            for tap in range(taps):
                factor = weight[(o * shared + c % shared) * taps + tap]
                shift_z = tap // (kh * kw) * geometry[16] - geometry[13]
                shift_y = tap // kw % kh * geometry[17] - geometry[14]
                shift = tap % kw * geometry[18] - geometry[15]
                left = 0
                if shift < 0:
                    left = min((sw - 1 - shift) // sw, out_width)
                right = 0
                if width > shift:
                    right = min((width - shift + sw - 1) // sw, out_width)
                for at in range(out_depth * out_height):
                    z = at // out_height * sd + shift_z
                    y = at % out_height * sh + shift_y
                    if z >= 0 and z < depth and y >= 0 and y < height:
                        source = base + at * out_width
                        to = plane + (z * height + y) * width + shift
                        if sw == 1:
                            for i in range(left, right):
                                x[to + i] += factor * g[source + i]
                        else:
                            for i in range(left, right):
                                x[to + i * sw] += factor * g[source + i]


@kernel
def direct_weight(lo, hi, weight, x, g, geometry, filters, shared, images):
    """weight[o, c, tap] = Σ_n Σ_pixel g[n, o] x[n, c], summed in float64. Items are (filter, channel)."""
    channels = geometry[0]
    depth, height, width = geometry[1], geometry[2], geometry[3]
    out_depth, out_height, out_width = geometry[4], geometry[5], geometry[6]
    kd, kh, kw = geometry[7], geometry[8], geometry[9]
    sd, sh, sw = geometry[10], geometry[11], geometry[12]
    taps = kd * kh * kw
    per_group = filters * shared // channels
    for item in range(lo, hi):
        o = item // shared
        c = o // per_group * shared + item % shared
        for tap in range(taps):
            shift_z = tap // (kh * kw) * geometry[16] - geometry[13]
            shift_y = tap // kw % kh * geometry[17] - geometry[14]
            shift = tap % kw * geometry[18] - geometry[15]
            left = 0
            if shift < 0:
                left = min((sw - 1 - shift) // sw, out_width)
            right = 0
            if width > shift:
                right = min((width - shift + sw - 1) // sw, out_width)
            total = 0.0
            for n in range(images):
                plane = (n * channels + c) * depth * height * width
                base = (n * filters + o) * out_depth * out_height * out_width
                for at in range(out_depth * out_height):
                    z = at // out_height * sd + shift_z
                    y = at % out_height * sh + shift_y
                    if z >= 0 and z < depth and y >= 0 and y < height:
                        to = base + at * out_width
                        source = plane + (z * height + y) * width + shift
                        for i in range(left, right):
                            total += x[source + i * sw] * g[to + i]
            weight[item * taps + tap] = total


@lru_cache(maxsize=1024)
def _geometry(channels, size, out_size, taps, stride, padding, dilation):
    """The numbers a kernel reads, spatial ones filled up to three dimensions from the left."""
    def three(values, fill):
        return (fill,) * (3 - len(values)) + tuple(values)
    return np.array((channels, *three(size, 1), *three(out_size, 1), *three(taps, 1), *three(stride, 1),
                     *three(padding, 0), *three(dilation, 1)), dtype=np.int64)


def _buffer(name, size, dtype):
    """A 1-D array of `size` elements, this thread's own and reused; valid until the next call with `name`."""
    held = _scratch.__dict__.get(name)
    if held is None or held.nbytes < size * dtype.itemsize:
        held = np.empty(size * dtype.itemsize, np.uint8)
        if held.nbytes <= 16 * BLOCK_BYTES:
            _scratch.__dict__[name] = held
    return held[:size * dtype.itemsize].view(dtype)


def _blocks(images, lines, width, row_bytes):
    """Yield (first image, images, first line, last line): blocks of whole images or of lines of one."""
    pixels = max(BLOCK_BYTES // max(row_bytes, 1), BLOCK_PIXELS)
    if lines * width <= pixels:
        count = max(1, pixels // max(lines * width, 1))
        for first in range(0, images, count):
            yield first, min(count, images - first), 0, lines
    else:
        count = max(1, pixels // width)
        for first in range(images):
            for line in range(0, lines, count):
                yield first, 1, line, min(line + count, lines)


class _Problem:
    """One convolution: sizes, geometry, and whether its columns are just the input."""
    __slots__ = ("images", "channels", "filters", "groups", "taps", "lines", "width", "geometry", "pointwise",
                 "dtype")

    def __init__(self, x_shape, w_shape, y_shape, stride, padding, dilation, groups, dtype):
        self.images, self.channels = x_shape[:2]
        self.filters = w_shape[0]
        self.groups = groups
        self.taps = prod(w_shape[2:])
        self.lines, self.width = prod(y_shape[2:-1]), y_shape[-1]
        self.geometry = _geometry(self.channels, x_shape[2:], y_shape[2:], w_shape[2:], tuple(stride),
                                  tuple(padding), tuple(dilation))
        self.pointwise = self.taps == 1 and not any(padding) and x_shape[2:] == y_shape[2:]
        self.dtype = dtype

    @property
    def direct(self):
        return self.groups > 1 and self.channels // self.groups <= DIRECT_CHANNELS

    def blocks(self):
        return _blocks(self.images, self.lines, self.width, self.channels * self.taps * self.dtype.itemsize)

    def columns(self, x, first, images, line, last):
        """columns of a block as (groups, C K / groups, images * pixels)."""
        pixels = (last - line) * self.width
        rows = self.channels * self.taps
        if self.pointwise and images == 1:
            of_image = x.reshape(self.images, self.groups, -1, self.lines * self.width)[first]
            return of_image[:, :, line * self.width:last * self.width]
        columns = _buffer("columns", rows * images * pixels, self.dtype)
        launch(im2col, rows * images, pixels, columns, x.reshape(-1), self.geometry, first, images, line,
               last, images * pixels, pixels)
        return columns.reshape(self.groups, rows // self.groups, images * pixels)

    def pixels_of(self, y, first, images, line, last):
        """y of a block as (groups, O / groups, images, pixels), a view."""
        of_images = y.reshape(self.images, self.groups, -1, self.lines * self.width)[first:first + images]
        return of_images[..., line * self.width:last * self.width].transpose(1, 2, 0, 3)


def _forward(y, x, weight, problem):
    p = problem
    if p.direct:
        cost = p.lines * p.width * p.taps * (p.channels // p.groups)
        launch(direct, p.images * p.filters, cost, y.reshape(-1), x.reshape(-1), weight.reshape(-1),
               p.geometry, p.filters, p.channels // p.groups)
        return
    matrix = weight.reshape(p.groups, p.filters // p.groups, -1)
    if p.pointwise and p.lines * p.width >= WIDE:
        np.matmul(matrix, x.reshape(p.images, p.groups, -1, p.lines * p.width),
                  out=y.reshape(p.images, p.groups, -1, p.lines * p.width))
        return
    for first, images, line, last in p.blocks():
        columns = p.columns(x, first, images, line, last)
        to = p.pixels_of(y, first, images, line, last)
        pixels = (last - line) * p.width
        if images == 1 or pixels >= WIDE:
            for i in range(images):
                np.matmul(matrix, columns[:, :, i * pixels:(i + 1) * pixels], out=to[:, :, i])
        else:
            product = _buffer("product", p.filters * images * pixels, p.dtype)
            product = product.reshape(p.groups, p.filters // p.groups, images * pixels)
            np.matmul(matrix, columns, out=product)
            np.copyto(to, product.reshape(to.shape))


def _input_gradient(x, g, weight, problem):
    p = problem
    if p.direct:
        cost = p.lines * p.width * p.taps * (p.filters // p.groups)
        launch(direct_input, p.images * p.channels, cost, x.reshape(-1), g.reshape(-1), weight.reshape(-1),
               p.geometry, p.filters, p.channels // p.groups)
        return
    matrix = weight.reshape(p.groups, p.filters // p.groups, -1).transpose(0, 2, 1)
    if p.pointwise and p.lines * p.width >= WIDE:
        np.matmul(matrix, g.reshape(p.images, p.groups, -1, p.lines * p.width),
                  out=x.reshape(p.images, p.groups, -1, p.lines * p.width))
        return
    x.fill(0)
    rows = p.channels * p.taps
    for first, images, line, last in p.blocks():
        pixels = (last - line) * p.width
        columns = _buffer("columns", rows * images * pixels, p.dtype)
        shaped = columns.reshape(p.groups, rows // p.groups, images * pixels)
        source = p.pixels_of(g, first, images, line, last)
        if images == 1 or pixels >= WIDE:
            for i in range(images):
                np.matmul(matrix, source[:, :, i], out=shaped[:, :, i * pixels:(i + 1) * pixels])
        else:
            gathered = _buffer("product", p.filters * images * pixels, p.dtype).reshape(source.shape)
            np.copyto(gathered, source)
            np.matmul(matrix, gathered.reshape(p.groups, -1, images * pixels), out=shaped)
        launch(col2im, images * p.channels, pixels * p.taps, x.reshape(-1), columns, p.geometry, first,
               images, line, last, images * pixels, pixels)


def _weight_gradient(weight, x, g, problem):
    p = problem
    if p.direct:
        shared = p.channels // p.groups
        launch(direct_weight, p.filters * shared, p.images * p.lines * p.width * p.taps, weight.reshape(-1),
               x.reshape(-1), g.reshape(-1), p.geometry, p.filters, shared, p.images)
        return
    matrix = weight.reshape(p.groups, p.filters // p.groups, -1)
    part = None
    for first, images, line, last in p.blocks():
        columns = p.columns(x, first, images, line, last)
        source = p.pixels_of(g, first, images, line, last)
        if images > 1:
            gathered = _buffer("product", source.size, p.dtype).reshape(source.shape)
            np.copyto(gathered, source)
            source = gathered.reshape(p.groups, -1, columns.shape[-1])
        else:
            source = source[:, :, 0]
        if part is None:
            np.matmul(source, columns.transpose(0, 2, 1), out=matrix)
            part = np.empty_like(matrix)
        else:
            np.matmul(source, columns.transpose(0, 2, 1), out=part)
            np.add(matrix, part, out=matrix)
    if part is None:
        weight.fill(0)


def _run(function, out, a, b, problem):
    """Run `function` on contiguous arrays of the problem's dtype; complex numbers by parts."""
    if out.size == 0 or a.size == 0 or b.size == 0:
        out.fill(0)
    elif problem.dtype.kind == "c":
        problem.dtype = np.empty(0, problem.dtype).real.dtype
        ar, ai, br, bi = (np.ascontiguousarray(part) for part in (a.real, a.imag, b.real, b.imag))
        left, right = np.empty(out.shape, problem.dtype), np.empty(out.shape, problem.dtype)
        function(left, ar, br, problem)
        function(right, ai, bi, problem)
        out.real = left - right
        function(left, ar, bi, problem)
        function(right, ai, br, problem)
        out.imag = left + right
    else:
        function(out, np.ascontiguousarray(a), np.ascontiguousarray(b), problem)


def convolution(out, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """out = weight * x + bias, or with `transposed` the adjoint of * applied to x."""
    if transposed:
        problem = _Problem(out.shape, weight.shape, x.shape, stride, padding, dilation, groups, out.dtype)
        _run(_input_gradient, out, x, weight, problem)
    else:
        problem = _Problem(x.shape, weight.shape, out.shape, stride, padding, dilation, groups, out.dtype)
        _run(_forward, out, x, weight, problem)
    if bias is not None:
        np.add(out, bias.reshape(-1, *(1,) * (x.ndim - 2)), out=out)


def convolution_input(out, grad, weight, shape, stride, padding, dilation, transposed, output_padding,
                      groups):
    """Gradient of `convolution` with respect to x, of the given shape."""
    if transposed:
        problem = _Problem(grad.shape, weight.shape, out.shape, stride, padding, dilation, groups, out.dtype)
        _run(_forward, out, grad, weight, problem)
    else:
        problem = _Problem(out.shape, weight.shape, grad.shape, stride, padding, dilation, groups, out.dtype)
        _run(_input_gradient, out, grad, weight, problem)


def convolution_weight(out, x, grad, shape, stride, padding, dilation, transposed, output_padding, groups):
    """Gradient of `convolution` with respect to its weight, of the given shape."""
    if transposed:
        x, grad = grad, x
    problem = _Problem(x.shape, out.shape, grad.shape, stride, padding, dilation, groups, out.dtype)
    _run(_weight_gradient, out, x, grad, problem)


def unfold_blocks(out, x, kernel_size, dilation, padding, stride):
    """out[n, (c, tap), pixel] = the input pixel under that tap; x is (N, C, H, W)."""
    n, c, h, w = x.shape
    size = tuple((s + 2 * p - d * (k - 1) - 1) // t + 1
                 for s, k, d, p, t in zip((h, w), kernel_size, dilation, padding, stride))
    geometry = _geometry(c, (h, w), size, tuple(kernel_size), tuple(stride), tuple(padding), tuple(dilation))
    rows, pixels = c * prod(kernel_size), prod(size)
    if out.size:
        launch(im2col, rows * n, pixels, out.reshape(-1), np.ascontiguousarray(x).reshape(-1), geometry, 0, n,
               0, size[0], pixels, rows * pixels)


def fold_blocks(out, x, output_size, kernel_size, dilation, padding, stride):
    """out[n, c, pixel] = the sum of x[n, (c, tap), block] over the taps that lie on it."""
    n, c = out.shape[:2]
    size = tuple((s + 2 * p - d * (k - 1) - 1) // t + 1
                 for s, k, d, p, t in zip(output_size, kernel_size, dilation, padding, stride))
    geometry = _geometry(c, tuple(output_size), size, tuple(kernel_size), tuple(stride), tuple(padding),
                         tuple(dilation))
    rows, pixels = c * prod(kernel_size), prod(size)
    out.fill(0)
    if x.size:
        launch(col2im, n * c, pixels * prod(kernel_size), out.reshape(-1),
               np.ascontiguousarray(x).reshape(-1),
               geometry, 0, n, 0, size[0], pixels, rows * pixels)
