"""`python -m numtorch script.py`: import torch means numtorch, all else is as under python itself."""
import os
import subprocess
import sys
import textwrap

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def run(tmp_path):
    """Write a script and run it: run(source, *args) → (exit status, stdout, stderr)."""
    def call(source: str, *args: str, name: str = "script.py", command=("-m", "numtorch")):
        (tmp_path / name).write_text(textwrap.dedent(source))
        path = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run([sys.executable, *command, *args], cwd=tmp_path, capture_output=True, text=True,
                              timeout=120, env={**os.environ, "PYTHONPATH": path})
        return done.returncode, done.stdout, done.stderr
    return call


def test_the_script_is_main_and_sees_its_arguments(run, tmp_path):
    (tmp_path / "beside.py").write_text("import torch\nVALUE = torch.ones(2).sum().item()\n")
    status, out, err = run("""
        import os, sys, pickle
        print(__name__, os.path.basename(__file__), sys.argv[1:], os.path.basename(sys.argv[0]))
        import beside
        print(beside.VALUE)

        class Point:
            def __init__(self, x):
                self.x = x

        main = sys.modules["__main__"]
        print(pickle.loads(pickle.dumps(Point(3))).x, Point.__module__, main.Point is Point)
        import inspect
        print(inspect.getsource(Point).split()[1])
    """, "script.py", "--epochs", "3", "-x")
    assert status == 0, err
    assert out.split("\n")[:4] == ["__main__ script.py ['--epochs', '3', '-x'] script.py", "2.0",
                                   "3 __main__ True",
                                   "Point:"]


def test_torch_means_numtorch_in_every_spelling(run):
    status, out, err = run("""
        import sys
        import torch
        import torch.nn as nn
        import torch.nn.functional as F
        import torch.optim as optim
        import torch.utils.data as data
        from torch import nn as nn2, Tensor, optim as optim2
        from torch.nn import Linear, functional
        from torch.nn.parameter import Parameter
        from torch.nn.modules.module import Module
        from torch.nn.utils import clip_grad_norm_
        from torch.nn.utils.rnn import pack_padded_sequence
        from torch.optim.lr_scheduler import StepLR
        from torch.utils.data import DataLoader, Dataset, TensorDataset
        from torch.utils.data.dataset import random_split
        from torch.autograd import Function, Variable
        from torch.autograd.function import once_differentiable
        import torch.autograd.functional
        import torchvision
        import torchvision.transforms as transforms
        from torchvision import datasets
        from torchvision.transforms import Compose, ToTensor

        import numtorch, numtorch.nn.functional
        assert torch is numtorch and F is numtorch.nn.functional is functional and nn is numtorch.nn is nn2
        assert Linear is numtorch.nn.Linear and issubclass(Linear, Module)
        assert optim2 is optim is numtorch.optim
        assert DataLoader is numtorch.utils.data.DataLoader and data.Dataset is Dataset
        assert torchvision is numtorch.vision and transforms.Compose is Compose
        assert numtorch.__spec__.name == numtorch.__name__ == "numtorch", "the modules keep their own names"
        assert isinstance(torch.zeros(2), Tensor) and sys.modules["torch"] is numtorch
        try:
            import torch.no_such_thing
        except ModuleNotFoundError as e:
            print(e.name)
        try:
            torch.no_such_function
        except AttributeError as e:
            print(e)
        x = torch.ones(3, requires_grad=True)
        F.relu(x * 2).sum().backward()
        print(x.grad.tolist(), torch.__version__.split(".")[0].isdigit())
    """, "script.py")
    assert status == 0, err
    assert out.split("\n")[:3] == ["torch.no_such_thing",
                                   "module 'torch' has no attribute 'no_such_function'",
                                   "[2.0, 2.0, 2.0] True"]


def test_tracebacks_show_the_users_lines(run):
    status, out, err = run("""\
        import torch

        def train():
            return torch.zeros(2, 3) @ torch.zeros(2, 3)

        print("before", flush=True)
        train()
    """, "script.py")
    assert status == 1 and out == "before\n"
    assert 'script.py", line 7, in <module>' in err and "    train()" in err
    assert 'script.py", line 4, in train' in err and "    return torch.zeros(2, 3) @ torch.zeros(2, 3)" in err
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)" in err
    assert "runner.py" not in err and "runpy" not in err and "__main__.py" not in err


@pytest.mark.parametrize("source, status, said", [
    ("import sys; sys.exit(3)", 3, ""), ("raise SystemExit", 0, ""), ("import sys; sys.exit('no data')", 1,
                                                                      "no data"),
    ("def broken(:\n    pass", 1, "SyntaxError"), ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
    ("import sys; sys.excepthook = lambda t, e, tb: print('mine', e, file=sys.stderr); 1 / 0", 1,
     "mine division")],
    ids=["3", "none", "words", "syntax", "interrupt", "hook"])
def test_exit_status(run, source, status, said):
    got, out, err = run(source, "script.py")
    assert got == status and said in err and "runner.py" not in err


def test_modules_and_usage(run, tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "train.py").write_text(
        "import sys, torch\nfrom . import other\nprint(__name__, __package__, sys.argv[1:], "
        "other.X.item())\n")
    (tmp_path / "pkg" / "other.py").write_text("import torch\nX = torch.tensor(5)\n")
    status, out, err = run("", "-m", "pkg.train", "a", "b")
    assert status == 0 and out == "__main__ pkg ['a', 'b'] 5\n", err
    status, out, err = run("", "missing.py")
    assert status != 0 and "missing.py" in err and "Traceback" not in err
    status, out, err = run("", "--help")
    assert status == 0 and out.startswith("usage: python -m numtorch")
    assert run("")[0] == 2


def test_workers_and_saved_classes(run):
    status, out, err = run("""
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Squares(Dataset):
            def __len__(self):
                return 6

            def __getitem__(self, i):
                return torch.tensor(float(i * i))

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = torch.nn.Linear(1, 1)

        if __name__ == "__main__":
            print([b.tolist() for b in DataLoader(Squares(), batch_size=3, num_workers=2)])
            torch.save(Net(), "net.pt")
            print(type(torch.load("net.pt", weights_only=False)).__name__)
    """, "script.py")
    assert status == 0, err
    assert out == "[[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]]\nNet\n"


def test_install_as_torch(run):
    status, out, err = run("""
        import numtorch
        numtorch.install_as_torch()
        numtorch.install_as_torch()
        import torch
        from torch.nn import functional as F
        print(torch is numtorch, F.relu(torch.tensor([-1.0, 1.0])).tolist())
    """, command=("script.py",))
    assert (status, out) == (0, "True [0.0, 1.0]\n"), err
    status, out, err = run("""
        import sys, types
        sys.modules["torch"] = types.ModuleType("torch")  # stands for the real one
        import numtorch
        try:
            numtorch.install_as_torch()
        except RuntimeError as e:
            print(e)
    """, command=("script.py",))
    assert status == 0 and out.startswith("torch was imported before install_as_torch()"), err


def test_scripts_do_not_inherit_future_statements(tmp_path):
    script = tmp_path / "s.py"
    script.write_text("def f(x: int): pass\nassert f.__annotations__ == {'x': int}\nprint('ok')\n")
    done = subprocess.run([sys.executable, "-m", "numtorch", str(script)], capture_output=True, text=True)
    assert done.stdout == "ok\n", done.stderr
