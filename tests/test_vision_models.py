"""Image models: names, initial values, published weights. Numbers not derived here are torchvision 0.28's."""
import hashlib
import re

import pytest

import numtorch as nt
from numtorch.vision import models, ops
from numtorch.vision.models import _api


def keys(model):
    "Names and shapes of a state, as a digest."
    text = "\n".join(f"{k} {tuple(v.shape)}" for k, v in model.state_dict().items())
    return hashlib.sha256(text.encode()).hexdigest()[:12]


STATES = {  # digest of names and shapes; sum of the first parameter and of the last but one for seed 3
    "resnet18": ("84fb10d9c690", 0.417753, 19.30726),
    "squeezenet1_0": ("4654d26ad581", -8.605124, 12.24142),
    "mobilenet_v2": ("37bbbce8932f", -1.162970, 4.20086),
    "densenet121": ("aa0fd9923b00", -2.690492, 18.57686),
}


@pytest.mark.parametrize("name", list(STATES))
def test_state(name):
    nt.manual_seed(3)
    model = models.get_model(name)
    digest, first, last = STATES[name]
    parameters = list(model.parameters())
    assert keys(model) == digest
    assert parameters[0].double().sum().item() == pytest.approx(first, abs=1e-4)
    assert parameters[-2].double().sum().item() == pytest.approx(last, abs=1e-3)


def test_forward_and_gradient():
    nt.manual_seed(0)
    model = models.resnet18(num_classes=5)
    out = model(nt.randn(2, 3, 32, 32))
    out.sum().backward()
    assert out.shape == (2, 5) and all(p.grad is not None for p in model.parameters())
    small = models.resnet.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=3,
                                 zero_init_residual=True, replace_stride_with_dilation=[False, True, True])
    assert small.layer4[0].conv2.dilation == (2, 2) and small.layer3(nt.zeros(1, 512, 4, 4)).shape[-1] == 4
    assert (small.layer1[0].bn3.weight == 0).all()
    vit = models.VisionTransformer(16, 8, 2, 2, 8, 12, num_classes=3)
    assert vit(nt.rand(2, 3, 16, 16)).shape == (2, 3)
    with pytest.raises(RuntimeError, match="Wrong image height! Expected 16 but got 8!"):
        vit(nt.rand(1, 3, 8, 8))


def test_weights(monkeypatch):
    W = models.ResNet50_Weights
    assert W.DEFAULT is W.IMAGENET1K_V2
    assert list(W.__members__) == ["IMAGENET1K_V1", "IMAGENET1K_V2", "DEFAULT"]
    assert W.IMAGENET1K_V1.url == "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    classes = W.DEFAULT.meta["categories"]
    assert classes[281:283] == ["tabby", "tiger cat"] and len(classes) == 1000
    assert W.DEFAULT.transforms().resize_size == [232]
    assert W.DEFAULT.transforms()(nt.zeros(3, 300, 400, dtype=nt.uint8)).shape == (3, 224, 224)
    assert models.get_weight("ResNet50_Weights.IMAGENET1K_V2") is W.DEFAULT
    assert repr(W.DEFAULT) == str(W.DEFAULT)
    assert models.get_model_weights("resnet50") is W and models.get_model_weights(models.resnet50) is W
    assert "resnet18" in models.list_models() and models.list_models(include="vgg*", exclude="*bn") == [
        "vgg11", "vgg13", "vgg16", "vgg19"]
    asked = []

    def fetch(self, **options):
        asked.append(self.url)
        return state

    monkeypatch.setattr(_api.WeightsEnum, "get_state_dict", fetch)
    state = models.squeezenet1_1().state_dict()
    for options in ({"weights": "DEFAULT"}, {"weights": models.SqueezeNet1_1_Weights.DEFAULT},
                    {"weights": "SqueezeNet1_1_Weights.IMAGENET1K_V1"}):
        loaded = models.squeezenet1_1(**options)
        assert all(nt.equal(v, state[k]) for k, v in loaded.state_dict().items())
    for call in (lambda: models.squeezenet1_1(pretrained=True), lambda: models.squeezenet1_1(True)):
        with pytest.warns(UserWarning, match="'pretrained' is deprecated"):
            call()
    assert asked == ["https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"] * 5
    with pytest.warns(UserWarning, match="'pretrained' is deprecated"):
        models.squeezenet1_1(pretrained=False)
    assert len(asked) == 5
    with pytest.raises(ValueError, match="'num_classes' expected value 1000 but got 10 instead."):
        models.squeezenet1_1(weights="DEFAULT", num_classes=10)
    with pytest.raises(TypeError, match="Invalid Weight class provided; expected SqueezeNet1_1_Weights"):
        models.squeezenet1_1(weights=W.DEFAULT)


def test_old_densenet_names():
    model = models.DenseNet(4, (1, 1), 8, num_classes=2)
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", k): v
           for k, v in model.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    model._load_published(old)


def test_layers_between():
    model = models.get_model("resnet18", num_classes=2).eval()
    part = models._utils.IntermediateLayerGetter(model, {"layer1": "a", "layer3": "b"})
    out = part(nt.rand(1, 3, 32, 32))
    assert list(out) == ["a", "b"] and out["b"].shape == (1, 256, 2, 2) and "layer4" not in part


def test_blocks():
    nt.manual_seed(0)
    x = nt.rand(4, 3, 6, 6)
    layer = ops.StochasticDepth(0.5, "row")
    kept = layer(x).flatten(1).abs().sum(1) > 0
    assert nt.allclose(layer.eval()(x), x) and kept.dtype == nt.bool
    assert ops.Conv2dNormActivation(3, 4, 3, dilation=2)(x).shape == (4, 4, 6, 6)
    assert ops.SqueezeExcitation(3, 2)(x).shape == x.shape
    norm = ops.FrozenBatchNorm2d(3)
    norm.running_mean.fill_(0.5)
    assert nt.allclose(norm(x), (x - 0.5) / (1 + 1e-5) ** 0.5) and not list(norm.parameters())
    dropped = ops.drop_block2d(nt.ones(2, 2, 9, 9), 0.3, 3)
    assert dropped.mean().item() == pytest.approx(1, abs=1e-5) and (dropped == 0).any()


def test_boxes():
    boxes = nt.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 5]])
    scores = nt.tensor([0.5, 0.9, 0.1, 0.7])
    assert ops.nms(boxes, scores, 0.5).tolist() == [1, 3, 2]
    assert ops.nms(boxes, scores, 0.9).tolist() == [1, 3, 0, 2]
    assert ops.batched_nms(boxes, scores, nt.tensor([0, 1, 0, 2]), 0.1).tolist() == [1, 3, 0, 2]
    assert ops.box_iou(boxes[:1], boxes).tolist() == [[1.0, pytest.approx(81 / 119), 0.0, 0.5]]
    assert ops.generalized_box_iou(boxes[:1], boxes[2:3]).item() == pytest.approx(-(900 - 200) / 900)
    assert ops.distance_box_iou(boxes[:1], boxes[2:3]).item() == pytest.approx(-800 / 1800)
    assert ops.complete_box_iou(boxes[:1], boxes[:1]).item() == pytest.approx(1)
    for fmt in ("xywh", "cxcywh"):
        assert nt.equal(ops.box_convert(ops.box_convert(boxes, "xyxy", fmt), fmt, "xyxy"), boxes)
    assert ops.clip_boxes_to_image(boxes, (5, 9))[1].tolist() == [1, 1, 9, 5]
    assert ops.remove_small_boxes(boxes, 6).tolist() == [0, 1, 2]
    mask = nt.zeros(1, 6, 7)
    mask[0, 2:4, 1:6] = 1
    assert ops.masks_to_boxes(mask).tolist() == [[1, 2, 5, 3]]
    assert ops.generalized_box_iou_loss(boxes[:1], boxes[2:3], "sum").item() == pytest.approx(1 + 700 / 900)
    assert ops.complete_box_iou_loss(boxes, boxes, "mean").item() == pytest.approx(0, abs=1e-6)
    loss = ops.sigmoid_focal_loss(nt.zeros(1), nt.ones(1)).item()
    assert loss == pytest.approx(0.25 * 0.25 * 0.693147, abs=1e-6)


def test_files(tmp_path):
    pytest.importorskip("PIL")
    from numtorch.vision import io
    x = (nt.arange(3 * 5 * 7) % 256).to(nt.uint8).view(3, 5, 7)
    io.write_png(x, tmp_path / "x.png")
    assert nt.equal(io.read_image(str(tmp_path / "x.png")), x)
    assert io.read_image(tmp_path / "x.png", io.ImageReadMode.GRAY).shape == (1, 5, 7)
    assert io.decode_image(io.read_file(tmp_path / "x.png"), "RGBA").shape == (4, 5, 7)
    assert (io.decode_jpeg(io.encode_jpeg(x[:1], 100))[0].int() - x[0].int()).abs().max() < 9
    with pytest.raises(RuntimeError, match="Unsupported image file"):
        io.decode_image(nt.zeros(9, dtype=nt.uint8))
    with pytest.raises(RuntimeError, match="No such file or directory"):
        io.read_image(str(tmp_path / "y.png"))
    with pytest.raises(RuntimeError, match="not a PNG image"):
        io.decode_png(io.encode_jpeg(x))


def test_a_builder_is_not_hidden_by_its_module(tmp_path):
    "torchvision.models.alexnet is a function also after its module was imported by name."
    import subprocess
    import sys
    script = tmp_path / "s.py"
    script.write_text("import torchvision\nfrom torchvision.models.alexnet import AlexNet\n"
                      "from torchvision.models import alexnet\n"
                      "assert alexnet is torchvision.models.alexnet and AlexNet\n")
    subprocess.run([sys.executable, "-m", "numtorch", str(script)], check=True, timeout=120)
