"""numtorch.models against transformers: names, outputs in float32, folders read in both directions."""
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("transformers")

import numtorch as nt
from numtorch import models as ours

RNG = np.random.default_rng(0)
SIZES = {
    "Bert": {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 24, "max_position_embeddings": 16},
    "DistilBert": {"vocab_size": 40, "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24,
                   "max_position_embeddings": 16},
    "GPT2": {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 16, "pad_token_id": 0,
             "bos_token_id": 1, "eos_token_id": 1},
}
NAMES = ["BertModel", "BertForMaskedLM", "BertForSequenceClassification", "DistilBertModel",
         "DistilBertForMaskedLM", "DistilBertForSequenceClassification", "GPT2Model", "GPT2LMHeadModel",
         "GPT2ForSequenceClassification"]
IDS = RNG.integers(2, 40, (3, 9))
MASK = np.array([[1] * 9, [1] * 6 + [0] * 3, [1] * 4 + [0] * 5])


def made(name):
    family = next(f for f in SIZES if name.startswith(f))
    settings = {**SIZES[family], "num_labels": 3} if "Classification" in name else SIZES[family]
    a = getattr(theirs, name)(getattr(theirs, family + "Config")(**settings)).eval()
    with torch.no_grad():
        for p in a.parameters():
            p.copy_(torch.from_numpy(RNG.standard_normal(tuple(p.shape)).astype("f4") * 0.3))
    return a, getattr(ours, family + "Config")(**settings)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", ["safetensors", "bin"])
def test_outputs(name, file, tmp_path):
    a, config = made(name)
    if file == "bin":
        torch.save(a.state_dict(), tmp_path / "pytorch_model.bin")
        a.config.save_pretrained(tmp_path)
    else:
        a.save_pretrained(tmp_path)
    b = getattr(ours, name).from_pretrained(tmp_path)
    assert list(b.state_dict()) == list(a.state_dict())
    assert [(k, tuple(v.shape)) for k, v in b.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in a.state_dict().items()]
    ids = np.where(MASK == 1, IDS, 0)
    given = {"input_ids": ids, "attention_mask": MASK}
    if "Classification" in name:
        given["labels"] = np.array([2, 0, 1])
    elif "LM" in name:
        given["labels"] = np.where(MASK == 1, IDS, -100)
    x = a(**{k: torch.from_numpy(v) for k, v in given.items()}, output_hidden_states="Class" not in name)
    y = b(**{k: nt.from_numpy(v) for k, v in given.items()},
          **({} if "Class" in name else {"output_hidden_states": True}))
    shown = MASK.astype(bool)
    for key in ("loss", "logits", "last_hidden_state", "pooler_output"):
        if x.get(key) is not None:
            u, v = x[key].detach().numpy(), y[key].detach().numpy()
            if u.ndim == 3:
                u, v = u[shown], v[shown]
            np.testing.assert_allclose(v, u, rtol=2e-4, atol=2e-5, err_msg=key)
    if "Class" not in name:
        assert len(x.hidden_states) == len(y.hidden_states)
        for u, v in zip(x.hidden_states, y.hidden_states):
            np.testing.assert_allclose(v.detach().numpy()[shown], u.detach().numpy()[shown], rtol=2e-4,
                                       atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_written_folders(name, tmp_path):
    _, config = made(name)
    nt.manual_seed(0)
    b = getattr(ours, name)(config).eval()
    b.save_pretrained(tmp_path)
    a = getattr(theirs, name).from_pretrained(tmp_path)
    for k, v in a.state_dict().items():
        np.testing.assert_array_equal(b.state_dict()[k].numpy(), v.numpy())


def test_generation(tmp_path):
    a, _ = made("GPT2LMHeadModel")
    a.save_pretrained(tmp_path)
    b = ours.GPT2LMHeadModel.from_pretrained(tmp_path)
    want = a.generate(torch.from_numpy(IDS[:1, :4]), max_new_tokens=8, do_sample=False,
                      attention_mask=torch.ones(1, 4)).numpy()
    assert b.generate(nt.from_numpy(IDS[:1, :4]), max_new_tokens=8).tolist() == want.tolist()


def test_defaults():
    for family in SIZES:
        a, b = getattr(theirs, family + "Config")().to_dict(), getattr(ours, family + "Config")().to_dict()
        for k, v in b.items():
            if k in a and k != "label2id":
                assert json.dumps(a[k]) == json.dumps(v), k
