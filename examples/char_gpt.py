"""A small GPT that learns to write like a text file. A plain PyTorch script: it says `import torch`.

    python -m numtorch examples/char_gpt.py [TEXT]      # on numtorch
    python examples/char_gpt.py [TEXT]                  # on PyTorch, where that is installed

TEXT is $DATA/tinyshakespeare.txt where that exists, else an essay of this repository. STEPS is 400."""
import math
import os
import sys

import torch
import torch.nn as nn
from torch.nn import functional as F

STEPS = int(os.environ.get("STEPS", 400))
BATCH, TIME, WIDTH, HEADS, LAYERS = 16, 64, 96, 4, 2

here = os.path.dirname(os.path.abspath(__file__))
choices = [*sys.argv[1:2], os.path.join(os.environ.get("DATA", "data"), "tinyshakespeare.txt"),
           os.path.join(here, "..", "docs", "from_scratch.md")]
path = next(p for p in choices if os.path.exists(p) or p in sys.argv[1:])
with open(path, encoding="utf-8") as f:
    text = f.read()
chars = sorted(set(text))
number = {c: i for i, c in enumerate(chars)}
data = torch.tensor([number[c] for c in text])
print(f"{path}: {len(text):,} characters, {len(chars)} different ones")


class Block(nn.Module):
    """Attention to earlier characters, then a perceptron at each place; both add to what comes in."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.register_buffer("future", torch.ones(TIME, TIME).triu(1) > 0)

    def attend(self, x):
        n, t, _ = x.shape
        q, k, v = (part.view(n, t, HEADS, -1).transpose(1, 2) for part in self.qkv(x).split(WIDTH, dim=2))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
        weights = F.softmax(scores.masked_fill(self.future[:t, :t], float("-inf")), dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, t, WIDTH))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(len(chars), WIDTH), nn.Embedding(TIME, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(chars))

    def forward(self, x):
        x = self.token(x) + self.place(torch.arange(x.size(1)))
        return self.head(self.norm(self.blocks(x)))

    @torch.no_grad()
    def write(self, prompt, n):
        x = torch.tensor([[number[c] for c in prompt]])
        for _ in range(n):
            p = F.softmax(self(x[:, -TIME:])[:, -1] / 0.8, dim=-1)
            x = torch.cat([x, torch.multinomial(p, 1)], dim=1)
        return "".join(chars[i] for i in x[0].tolist())


torch.manual_seed(0)
model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
for step in range(STEPS + 1):
    starts = torch.randint(0, len(data) - TIME - 1, (BATCH,)).tolist()
    x = torch.stack([data[s:s + TIME] for s in starts])
    y = torch.stack([data[s + 1:s + TIME + 1] for s in starts])
    loss = F.cross_entropy(model(x).view(-1, len(chars)), y.view(-1))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    if step % (STEPS // 8 or 1) == 0:
        print(f"step {step:4d}  loss {loss.item():.4f}", flush=True)
print(model.write(text[0], 300))
