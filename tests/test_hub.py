"""torch.hub against an HTTP server of this process that stands for GitHub."""
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import zipfile

import pytest

import numtorch as nt
from numtorch import hub

HUBCONF = b'''
dependencies = ["numpy"]
import torch
from parts import scale

def doubled(x, by=2):
    "Return x times `by`."
    return torch.tensor([x]) * scale(by)

def _hidden():
    pass
'''


def archive(files, top="owner-name-abc/"):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as z:
        z.writestr(top, "")
        for name, content in files.items():
            z.writestr(top + name, content)
    return data.getvalue()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """{path: bytes or (status, bytes)} served over HTTP; `.url`, and `.seen`: the paths asked for."""
    class Files(dict):
        seen: list
        url: str
    files = Files()
    files.seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            files.seen.append(self.path)
            found = files.get(self.path, (404, b"no"))
            status, body = found if isinstance(found, tuple) else (200, found)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        files.url = f"http://127.0.0.1:{s.server_port}"
        monkeypatch.setattr(hub, "GITHUB", files.url)
        monkeypatch.setattr(hub, "API", files.url)
        monkeypatch.setattr(hub, "_dir", str(tmp_path / "hub"))
        files["/owner/name/zipball/v1"] = archive({"hubconf.py": HUBCONF, "parts.py": b"scale = float\n"})
        files["/repos/owner/name/branches?per_page=100&page=1"] = json.dumps(
            [{"name": "v1", "commit": {"sha": "abcdef"}}]).encode()
        files["/repos/owner/name/branches?per_page=100&page=2"] = b"[]"
        files["/repos/owner/name/tags?per_page=100&page=1"] = b"[]"
        yield files
        s.shutdown()


def test_download(server, tmp_path, capsys):
    server["/a.bin"] = b"x" * 300_000
    digest = hashlib.sha256(server["/a.bin"]).hexdigest()
    hub.download_url_to_file(server.url + "/a.bin", str(tmp_path / "a"), digest[:8])
    assert (tmp_path / "a").read_bytes() == server["/a.bin"]
    assert "100" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match=f'invalid hash value \\(expected "00", got "{digest}"\\)'):
        hub.download_url_to_file(server.url + "/a.bin", str(tmp_path / "b"), "00", progress=False)
    assert sorted(os.listdir(tmp_path)) == ["a"]


def test_state_dict(server, tmp_path):
    data = io.BytesIO()
    nt.save({"w": nt.ones(2)}, data)
    name = f"/net-{hashlib.sha256(data.getvalue()).hexdigest()[:8]}.pth"
    server[name] = data.getvalue()
    for _ in range(2):
        got = hub.load_state_dict_from_url(server.url + name, progress=False, check_hash=True)
        assert got["w"].tolist() == [1, 1]
    assert server.seen == [name]  # the second time from the cache
    assert os.listdir(os.path.join(hub.get_dir(), "checkpoints")) == [name[1:]]
    assert nt.utils.model_zoo.load_url(server.url + name)["w"].tolist() == [1, 1]
    server["/net-00000000.pth"] = data.getvalue()
    with pytest.raises(RuntimeError, match="invalid hash value"):
        hub.load_state_dict_from_url(server.url + "/net-00000000.pth", progress=False, check_hash=True)
    with zipfile.ZipFile(old := io.BytesIO(), "w") as z:
        z.writestr("inner.pth", data.getvalue())
    server["/old.pth"] = old.getvalue()
    assert hub.load_state_dict_from_url(server.url + "/old.pth", progress=False)["w"].tolist() == [1, 1]


def test_repository(server, monkeypatch):
    if "torch" in sys.modules and sys.modules["torch"] is not nt:
        pytest.skip("the real torch is loaded in this process")
    answers, asked = ["n"], []
    monkeypatch.setattr("builtins.input", lambda words: (asked.append(words), answers.pop())[1])
    with pytest.raises(Exception, match="Untrusted repository."):
        hub.load("owner/name:v1", "doubled", 3)
    assert not any("zipball" in path for path in server.seen)
    answers.append("perhaps")
    with pytest.raises(ValueError, match="Unrecognized response perhaps."):
        hub.load("owner/name:v1", "doubled", 3)
    answers.append("y")
    before = dict(sys.modules)
    try:
        assert hub.load("owner/name:v1", "doubled", 3).tolist() == [6.0]
        assert len(asked) == 3 and "The repository owner_name does not belong" in asked[0]
        assert hub.load("owner/name:v1", "doubled", 3, by=5).tolist() == [15.0]
        assert len(asked) == 3 and sum("zipball" in path for path in server.seen) == 1
        assert hub.list("owner/name:v1") == ["doubled", "scale"]
        assert hub.help("owner/name:v1", "doubled") == "Return x times `by`."
        hub.list("owner/name:v1", force_reload=True)
        assert sum("zipball" in path for path in server.seen) == 2
        with pytest.raises(RuntimeError, match="Cannot find callable absent in hubconf"):
            hub.load("owner/name:v1", "absent")
        with pytest.raises(ValueError, match="Cannot find fork in"):
            hub.load("owner/name:fork", "doubled", trust_repo=True)
        folder = os.path.join(hub.get_dir(), "owner_name_v1")
        assert hub.load(folder, "doubled", 1, source="local").tolist() == [2.0]
        with pytest.raises(ValueError, match="Unknown source: \"web\""):
            hub.load(folder, "doubled", source="web")
    finally:
        for name in set(sys.modules) - set(before):
            if name.partition(".")[0] in ("torch", "torchvision", "parts"):
                del sys.modules[name]
        sys.meta_path[:] = [f for f in sys.meta_path if type(f).__module__ != "numtorch.runner"]


def test_default_branch(server):
    assert hub._parts("owner/name") == ("owner", "name", "master")
    server["/owner/name/tree/main/"] = b"page"
    assert hub._parts("owner/name") == ("owner", "name", "main")


@pytest.mark.parametrize("name, words", [("/etc/x", "absolute path"), ("../x", "directory traversal"),
                                         ("C:x", "absolute path")])
def test_archives_stay_inside(tmp_path, name, words):
    with zipfile.ZipFile(data := io.BytesIO(), "w") as z:
        z.writestr(name, b"x")
    with zipfile.ZipFile(data) as z, pytest.raises(ValueError, match=words):
        hub._extract(z, str(tmp_path / "in"))
    assert not (tmp_path / "x").exists()


def test_places(monkeypatch):
    code = "import numtorch as t; print(t.hub.get_dir())"
    env = {**os.environ, "XDG_CACHE_HOME": "/c"}
    env.pop("TORCH_HOME", None)
    run = lambda e: subprocess.run([sys.executable, "-c", code], env=e, capture_output=True,
                                   text=True, check=True).stdout.strip()
    assert run(env) == "/c/torch/hub" and run({**env, "TORCH_HOME": "/h"}) == "/h/hub"
