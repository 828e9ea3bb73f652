"""SummaryWriter's event files, read back."""
import glob
import struct

import pytest

import numtorch as nt

pytest.importorskip("tensorboardX")


def records(folder):
    """The payloads of an event file: length, CRC, bytes, CRC of each."""
    (path,) = glob.glob(str(folder) + "/events.out.tfevents.*")
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        (n,) = struct.unpack_from("<Q", data, at)
        yield data[at + 12:at + 12 + n]
        at += n + 16


def test_writer(tmp_path):
    from numtorch.utils.tensorboard import SummaryWriter, writer
    assert writer.SummaryWriter is SummaryWriter and nt.utils.tensorboard.SummaryWriter is SummaryWriter
    with SummaryWriter(log_dir=str(tmp_path)) as w:
        w.add_scalar("loss", nt.tensor(0.5, requires_grad=True), 3)
        w.add_scalars("both", {"a": nt.tensor(1.0, dtype=nt.bfloat16), "b": 2.0}, 1)
        w.add_histogram("weights", nt.randn(10), 1)
        w.add_image("image", nt.rand(3, 4, 4), 1)
        w.add_text("note", "words", 1)
        assert w.log_dir == w.get_logdir() == str(tmp_path)
    found = b"".join(records(tmp_path))
    for tag in (b"loss", b"weights", b"image", b"note", struct.pack("<f", 0.5)):
        assert tag in found
