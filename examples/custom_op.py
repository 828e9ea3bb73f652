"""One entry makes an operation: kernels for every dtype and layout, gradients of any order, and a CUDA form.

    python examples/custom_op.py
    NUMTORCH_DEBUG=4 NUMTORCH_CACHE=off python examples/custom_op.py      # shows the kernels made of it"""
import math

import numtorch as torch
from numtorch.kinds import pointwise


@pointwise(vjp={"x": lambda g, x, out: g * (-2 * x * out)})
def bell(x):
    "e^(−x²), elementwise."
    return math.exp(-x * x)


x = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
print("bell(x) =", bell(x).tolist())

# The rule is made of public operations, so it can be differentiated again; both orders are right.
print("first order: ", torch.autograd.gradcheck(bell, (x,)))
print("second order:", torch.autograd.gradgradcheck(bell, (x,)))

# Any layout and any dtype, half precision included: a transposed view of bfloat16.
print(bell(torch.arange(6, dtype=torch.bfloat16).view(2, 3).t()))

# A radial-basis network with `bell` for its activation learns a sine.
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Identity(), torch.nn.Linear(32, 1))
net[1].forward = bell
optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
t = torch.linspace(-3, 3, 200).unsqueeze(1)
for step in range(501):
    loss = torch.nn.functional.mse_loss(net(t), torch.sin(2 * t))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(f"step {step:3d}  loss {loss.item():.5f}")
