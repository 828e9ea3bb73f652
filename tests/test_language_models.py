"""BERT, DistilBERT, GPT-2: a straightforward reference, folders, heads."""
import json

import numpy as np
import pytest

import numtorch as nt
from numtorch import models as M

BERT = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": 16}
DISTIL = {"vocab_size": 20, "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12,
          "max_position_embeddings": 16}
GPT2 = {"vocab_size": 20, "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16, "eos_token_id": 19}


def drawn(model):
    "The model in evaluation mode, every parameter drawn anew so that none is trivial."
    nt.manual_seed(0)
    with nt.no_grad():
        for p in model.parameters():
            p.normal_(0, 0.5)
    return model.eval()


def norm(x, p, name, eps):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return x * p[name + ".weight"] + p[name + ".bias"]


def attend(q, k, v, heads, seen):
    def split(t):
        return t.reshape(*t.shape[:-1], heads, -1).swapaxes(-2, -3)
    q, k, v = split(q), split(k), split(v)
    s = np.where(seen, q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]), -np.inf)
    w = np.exp(s - s.max(-1, keepdims=True))
    out = w / w.sum(-1, keepdims=True) @ v
    return out.swapaxes(-2, -3).reshape(*out.shape[:-3], out.shape[-2], -1)


IDS = np.array([[3, 7, 1, 9, 4], [5, 2, 8, 0, 0]])
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def test_bert():
    from math import erf
    model = drawn(M.BertModel(M.BertConfig(**BERT)))
    p = {k: v.double().numpy() for k, v in model.state_dict().items()}

    def dense(x, name):
        return x @ p[name + ".weight"].T + p[name + ".bias"]

    e = "embeddings."
    x = (p[e + "word_embeddings.weight"][IDS] + p[e + "position_embeddings.weight"][:5]
         + p[e + "token_type_embeddings.weight"][0])
    x = norm(x, p, e + "LayerNorm", 1e-12)
    for i in range(2):
        n = f"encoder.layer.{i}."
        a = attend(*(dense(x, f"{n}attention.self.{k}") for k in ("query", "key", "value")), 2,
                   MASK[:, None, None, :] == 1)
        x = norm(dense(a, n + "attention.output.dense") + x, p, n + "attention.output.LayerNorm", 1e-12)
        h = dense(x, n + "intermediate.dense")
        h = h * 0.5 * (1 + np.vectorize(erf)(h / np.sqrt(2)))
        x = norm(dense(h, n + "output.dense") + x, p, n + "output.LayerNorm", 1e-12)
    out = model(nt.from_numpy(IDS), nt.from_numpy(MASK))
    shown = MASK == 1
    np.testing.assert_allclose(out.last_hidden_state.detach().numpy()[shown], x[shown], atol=2e-5)
    np.testing.assert_allclose(out[1].detach().numpy(), np.tanh(dense(x[:, 0], "pooler.dense")), atol=2e-5)
    assert list(out) == ["last_hidden_state", "pooler_output"]


def test_gpt2():
    model = drawn(M.GPT2LMHeadModel(M.GPT2Config(**GPT2)))
    p = {k.removeprefix("transformer."): v.double().numpy() for k, v in model.state_dict().items()}
    x = p["wte.weight"][IDS] + p["wpe.weight"][:5]
    for i in range(2):
        n = f"h.{i}."
        y = norm(x, p, n + "ln_1", 1e-5) @ p[n + "attn.c_attn.weight"] + p[n + "attn.c_attn.bias"]
        a = attend(*np.split(y, 3, -1), 2, np.tri(5) == 1)
        x = x + a @ p[n + "attn.c_proj.weight"] + p[n + "attn.c_proj.bias"]
        h = norm(x, p, n + "ln_2", 1e-5) @ p[n + "mlp.c_fc.weight"] + p[n + "mlp.c_fc.bias"]
        h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h ** 3)))
        x = x + h @ p[n + "mlp.c_proj.weight"] + p[n + "mlp.c_proj.bias"]
    want = norm(x, p, "ln_f", 1e-5) @ p["wte.weight"].T
    ids = nt.from_numpy(IDS)
    out = model(ids, labels=ids)
    np.testing.assert_allclose(out.logits.detach().numpy(), want, atol=1e-4)
    log = want - np.log(np.exp(want).sum(-1, keepdims=True))
    loss = -np.mean([log[i, j, IDS[i, j + 1]] for i in range(2) for j in range(4)])
    assert out.loss.item() == pytest.approx(loss, rel=1e-5)
    first = model(ids[:, :3])  # word by word with kept keys and values
    rest = model(ids[:, 3:], past_key_values=first.past_key_values)
    np.testing.assert_allclose(rest.logits.detach().numpy(), want[:, 3:], atol=1e-4)
    made = model.generate(ids[:1], max_new_tokens=6)
    line = IDS[:1]
    while line.shape[1] < made.shape[1]:
        line = np.append(line, model(nt.from_numpy(line)).logits[:, -1:].argmax(-1).numpy(), 1)
    assert made.tolist() == line.tolist()
    assert model.generate(ids, 4, do_sample=True, top_k=3).shape[0] == 2
    with pytest.raises(ValueError, match="more than n_positions=16"):
        model.generate(ids, 12)


@pytest.mark.parametrize("name, settings", [
    ("BertModel", BERT), ("BertForMaskedLM", BERT), ("BertForSequenceClassification", BERT),
    ("DistilBertModel", DISTIL), ("DistilBertForMaskedLM", DISTIL),
    ("DistilBertForSequenceClassification", DISTIL), ("GPT2Model", GPT2), ("GPT2LMHeadModel", GPT2),
    ("GPT2ForSequenceClassification", {**GPT2, "pad_token_id": 0})])
def test_folders(name, settings, tmp_path):
    kind = getattr(M, name)
    model = drawn(kind(kind.config_class(**settings)))
    model.save_pretrained(tmp_path / "a")
    ids = nt.from_numpy(IDS)
    want = model(ids)[0]
    assert nt.equal(kind.from_pretrained(tmp_path / "a")(ids)[0], want)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/config.json").write_text((tmp_path / "a/config.json").read_text())
    state = {k.replace("LayerNorm.weight", "LayerNorm.gamma"): v for k, v in model.state_dict().items()}
    parts = [dict(list(state.items())[i::2]) for i in range(2)]
    for i, part in enumerate(parts):
        nt.save(part, tmp_path / f"b/part{i}.bin")
    where = {k: f"part{i}.bin" for i, part in enumerate(parts) for k in part}
    (tmp_path / "b/pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    assert nt.equal(kind.from_pretrained(tmp_path / "b")(ids)[0], want)
    out = model.train()(ids)[0]
    out.sum().backward()
    assert all(p.grad is not None for k, p in model.named_parameters() if "pooler" not in k)


def test_heads_and_errors(tmp_path):
    base = drawn(M.BertModel(M.BertConfig(**BERT)))
    base.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="newly initialized: .'classifier.bias', 'classifier.weight'."):
        head = M.BertForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    ids = nt.from_numpy(IDS)
    assert nt.equal(head.bert(ids)[0], base(ids)[0]) and head(ids).logits.shape == (2, 3)
    assert head(ids, labels=nt.tensor([2, 0])).loss.ndim == 0
    assert head.config.problem_type == "single_label_classification"
    masked = M.BertForMaskedLM(M.BertConfig(**BERT))
    assert masked.cls.predictions.decoder.weight is masked.bert.embeddings.word_embeddings.weight
    with pytest.raises(ValueError, match="exactly one of input_ids or inputs_embeds"):
        base()
    with pytest.raises(OSError, match="no file named model.safetensors"):
        (tmp_path / "model.safetensors").unlink()
        M.BertModel.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a model of type bert, not gpt2"):
        M.GPT2Model.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../x.safetensors"}}')
    with pytest.raises(ValueError, match="outside of its folder"):
        M.BertModel.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has shape"):
        base.load_tensors({"embeddings.LayerNorm.weight": nt.ones(3)})
