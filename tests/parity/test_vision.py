"""numtorch.vision against torchvision: models' names, initial values and outputs; transforms; operations."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

import numtorch as nt
from numtorch.vision import models

RNG = np.random.default_rng(0)

MODELS = {"resnet18": 64, "resnext50_32x4d": 32, "squeezenet1_1": 64, "mobilenet_v2": 64, "densenet121": 32,
          "vgg11_bn": 32, "vit_b_16": 224}


@pytest.mark.parametrize("name", list(MODELS))
def test_model(name):
    torch.manual_seed(3)
    theirs = torchvision.models.get_model(name)
    nt.manual_seed(3)
    ours = models.get_model(name)
    a, b = theirs.state_dict(), ours.state_dict()
    assert list(a) == list(b) and repr(theirs) == repr(ours)
    for k in a:
        np.testing.assert_allclose(b[k].numpy(), a[k].numpy(), rtol=1e-6, atol=1e-7, err_msg=k)
    state = {k: v.numpy() if v.ndim != 2 else RNG.standard_normal(v.shape).astype("f4") * v.shape[1] ** -0.5
             for k, v in a.items()}
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
    ours.load_state_dict({k: nt.from_numpy(v) for k, v in state.items()})
    x = RNG.standard_normal((1, 3, MODELS[name], MODELS[name])).astype("f4")
    with torch.no_grad(), nt.no_grad():
        want = theirs.eval()(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(ours.eval()(nt.from_numpy(x)).numpy(), want, rtol=1e-3,
                                   atol=1e-5 * np.abs(want).max() + 1e-9)


@pytest.mark.parametrize("name", models.list_models())
def test_published(name):
    a, b = torchvision.models.get_model_weights(name), models.get_model_weights(name)
    assert list(a.__members__) == list(b.__members__)
    for k in a.__members__:
        x, y = a[k], b[k]
        assert x.url == y.url and repr(x.transforms()) == repr(y.transforms())
        for fact in ("categories", "num_params", "min_size", "_metrics"):
            assert str(x.meta[fact]) == str(y.meta[fact])  # NaN where no accuracy is known
