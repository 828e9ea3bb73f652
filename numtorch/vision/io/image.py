"""Read, write, decode and encode images."""
from __future__ import annotations

import io
from enum import Enum
from typing import Any

import numpy as np

from ... import Tensor, from_numpy, stack, uint8
from .._pillow import pillow

__all__ = ["ImageReadMode", "decode_gif", "decode_image", "decode_jpeg", "decode_png", "decode_webp",
           "encode_jpeg", "encode_png", "read_file", "read_image", "write_file", "write_jpeg", "write_png"]


class ImageReadMode(Enum):
    """The channels an image is read as; UNCHANGED: those it has."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


# Pillow's names of modes.
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def read_file(path: Any) -> Tensor:
    """The bytes of a file."""
    return from_numpy(np.fromfile(path, np.uint8))


def write_file(filename: Any, data: Tensor) -> None:
    """Write a 1-D tensor of uint8 to a file."""
    _bytes(data).tofile(filename)


def _bytes(data: Any) -> np.ndarray:
    if not isinstance(data, Tensor) or data.dtype != uint8 or data.dim() != 1 or not data.numel():
        raise RuntimeError("Expected a non empty 1-dimensional tensor of dtype torch.uint8")
    return data.cpu().numpy()


def _mode(mode: Any) -> ImageReadMode:
    return ImageReadMode[mode.upper()] if isinstance(mode, str) else mode


def _planes(image: Any, mode: ImageReadMode, turn: bool) -> Tensor:
    "The pixels of an opened Pillow image, (C, H, W)."
    if turn:
        image = pillow("ImageOps").exif_transpose(image)
    want = _MODES.get(mode.value)
    if want is None:
        want = image.mode if image.mode in ("L", "LA", "RGB", "RGBA") else {
            "P": "RGBA" if "transparency" in image.info else "RGB", "1": "L", "PA": "RGBA"}.get(image.mode)
        if image.mode.startswith("I;16"):
            return from_numpy(np.array(image, np.uint16)[None])
        want = want or "RGB"
    array = np.asarray(image if image.mode == want else image.convert(want))
    return from_numpy(np.array(array[None] if array.ndim == 2 else array.transpose(2, 0, 1), order="C"))


def decode_image(input: Any, mode: Any = ImageReadMode.UNCHANGED,
                 apply_exif_orientation: bool = False) -> Tensor:
    """The image in the bytes `input` (or in the file of that name): uint8, or uint16 for 16-bit PNG.

    RuntimeError for what is no image; animations give (N, C, H, W)."""
    if not isinstance(input, Tensor):
        return read_image(input, mode, apply_exif_orientation)
    data = _bytes(input)
    image, mode = pillow(), _mode(mode)
    try:
        with image.open(io.BytesIO(data.tobytes())) as opened:
            frames = getattr(opened, "n_frames", 1)
            if opened.format == "GIF":
                made = []
                for i in range(frames):
                    opened.seek(i)
                    made.append(_planes(opened.convert("RGB"), mode, False))
                return made[0] if len(made) == 1 else stack(made)
            return _planes(opened, mode, apply_exif_orientation)
    except image.UnidentifiedImageError as e:
        raise RuntimeError("Unsupported image file. Only jpeg, png, webp, gif, avif, and heic are currently "
                           "supported.") from e


def read_image(path: Any, mode: Any = ImageReadMode.UNCHANGED,
               apply_exif_orientation: bool = False) -> Tensor:
    """The image in a file: uint8 (C, H, W)."""
    try:
        data = read_file(path)
    except FileNotFoundError:
        raise RuntimeError(f"[Errno 2] No such file or directory: '{path}'") from None
    return decode_image(data, mode, apply_exif_orientation)


def _decode(input: Any, format: str, mode: Any, turn: bool) -> Tensor:
    "decode_image for one format only."
    image = pillow()
    try:
        with image.open(io.BytesIO(_bytes(input).tobytes()), formats=[format]):
            pass
    except image.UnidentifiedImageError as e:
        raise RuntimeError(f"the data are not a {format} image") from e
    return decode_image(input, mode, turn)


def decode_png(input: Tensor, mode: Any = ImageReadMode.UNCHANGED,
               apply_exif_orientation: bool = False) -> Tensor:
    """The PNG image in the bytes `input`."""
    return _decode(input, "PNG", mode, apply_exif_orientation)


def decode_jpeg(input: Any, mode: Any = ImageReadMode.UNCHANGED, device: Any = "cpu",
                apply_exif_orientation: bool = False) -> Any:
    """The JPEG image in the bytes `input`; for a list of them, a list."""
    if isinstance(input, list):
        return [decode_jpeg(x, mode, device, apply_exif_orientation) for x in input]
    return _decode(input, "JPEG", mode, apply_exif_orientation).to(device)


def decode_gif(input: Tensor) -> Tensor:
    """The GIF image in the bytes `input`, RGB; (N, 3, H, W) for an animation."""
    return _decode(input, "GIF", ImageReadMode.RGB, False)


def decode_webp(input: Tensor, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The WebP image in the bytes `input`."""
    return _decode(input, "WEBP", mode, False)


def _encode(input: Any, format: str, **options: Any) -> Tensor:
    if not isinstance(input, Tensor) or input.dtype != uint8:
        raise RuntimeError("Input tensor dtype should be uint8")
    if input.dim() != 3:
        raise RuntimeError("Input data should be a 3-dimensional tensor")
    if input.shape[0] not in (1, 3):
        raise RuntimeError(f"The number of channels should be 1 or 3, got: {input.shape[0]}")
    array = input.cpu().numpy()
    array = array[0] if input.shape[0] == 1 else array.transpose(1, 2, 0)
    buffer = io.BytesIO()
    pillow().fromarray(np.ascontiguousarray(array)).save(buffer, format, **options)
    return from_numpy(np.frombuffer(buffer.getvalue(), np.uint8).copy())


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes of a PNG file. input: uint8 (1 or 3, H, W)."""
    if not 0 <= compression_level <= 9:
        raise RuntimeError("Compression level should be between 0 and 9")
    return _encode(input, "PNG", compress_level=compression_level)


def encode_jpeg(input: Any, quality: int = 75) -> Any:
    """The bytes of a JPEG file. input: uint8 (1 or 3, H, W), or a list of them."""
    if quality < 1 or quality > 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    if isinstance(input, list):
        return [encode_jpeg(x, quality) for x in input]
    return _encode(input, "JPEG", quality=quality)


def write_png(input: Tensor, filename: Any, compression_level: int = 6) -> None:
    """Write a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Tensor, filename: Any, quality: int = 75) -> None:
    """Write a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))
