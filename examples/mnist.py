"""Train the MNIST perceptron of the PyTorch tutorials on numtorch.

`make demo` runs this. Data: MNIST from the folder that the environment variable DATA names (else ./data), or
from the network; where neither is to be had, scikit-learn's digits."""
import argparse
import os
import threading
import time

import matplotlib.pyplot as plt
from tqdm import tqdm

import numtorch as torch
import numtorch.nn as nn
import numtorch.optim as optim
from numtorch.utils.data import DataLoader, TensorDataset
from numtorch.vision import datasets, transforms

plt.switch_backend("Agg")  # draws into files, needs no display

MEAN, STD = 0.1307, 0.3081  # of MNIST's pixels, where white is 1


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(28 * 28, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = x.view(-1, 28 * 28)
        x = nn.functional.relu(self.fc1(x))
        return nn.functional.log_softmax(self.fc2(x), dim=1)


def fetch(root, seconds=15):
    """Download MNIST into `root`, giving up after `seconds` so that a machine without a network goes on."""
    def download():
        try:
            for name, md5 in datasets.MNIST.resources:
                url = datasets.MNIST.mirrors[0] + name
                datasets.utils.download_url(url, os.path.join(root, "MNIST", "raw"), md5=md5, timeout=5)
        except (OSError, RuntimeError):
            pass  # the caller finds that the files are not there, and says so
    thread = threading.Thread(target=download, daemon=True)
    thread.start()
    thread.join(seconds)


def digits():
    """scikit-learn's 1,797 digits of 8 × 8 pixels, enlarged to MNIST's 28 × 28: (training set, test set)."""
    from sklearn.datasets import load_digits
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    images = nn.functional.pad(nn.functional.interpolate(images, scale_factor=3.0), (2, 2, 2, 2))
    images, labels = (images - MEAN) / STD, torch.tensor(labels, dtype=torch.int64)
    order = torch.randperm(len(labels))
    train, test = order[:1500], order[1500:]
    return TensorDataset(images[train], labels[train]), TensorDataset(images[test], labels[test])


def mnist(root):
    """(training set, test set) of MNIST. RuntimeError where root/MNIST/raw does not hold it."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    return [datasets.MNIST(root, train=train, transform=transform) for train in (True, False)]


def load(source):
    """(name, training set, test set, epochs that suffice) for the source "mnist", "digits" or "auto"."""
    root = os.environ.get("DATA", "./data")
    if source != "digits":
        for attempt in (lambda: None, lambda: fetch(root)):
            try:
                attempt()
                return "MNIST", *mnist(root), 3
            except RuntimeError as error:
                reason = error
        if source == "mnist":
            raise SystemExit(f"{reason}\n(looked there because of DATA={root})")
        print(f"MNIST is neither in {os.path.join(root, 'MNIST', 'raw')} nor could it be fetched")
    return "scikit-learn's digits", *digits(), 20


def train(net, loader, epochs, steps=None):
    """Plain SGD on the negative log likelihood. Returns the loss of every step."""
    criterion = nn.NLLLoss()
    optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    total = min(steps or epochs * len(loader), epochs * len(loader))
    losses, average = [], None
    with tqdm(total=total, unit="step", dynamic_ncols=True) as bar:
        for _ in range(epochs):
            for images, labels in loader:
                optimizer.zero_grad()
                loss = criterion(net(images), labels)
                loss.backward()
                optimizer.step()

                losses.append(loss.item())
                average = losses[-1] if average is None else 0.98 * average + 0.02 * losses[-1]
                bar.set_postfix(loss=f"{average:.4f}", refresh=False)
                bar.update()
                if len(losses) % (total // 10 or 1) == 0:
                    bar.write(f"step {len(losses):5d}  loss {average:.4f}")
                if len(losses) == total:
                    return losses
    return losses


@torch.no_grad()
def test(net, loader):
    """The share of test images that the net reads rightly, in percent."""
    net.eval()
    right = total = 0
    for images, labels in loader:
        predicted = net(images).argmax(dim=1)
        right += (predicted == labels).sum().item()
        total += labels.size(0)
    return 100 * right / total


def draw_losses(losses, path):
    window = max(1, len(losses) // 50)
    smooth = [sum(losses[i:i + window]) / window for i in range(len(losses) - window + 1)]
    plt.figure(figsize=(7, 4))
    plt.plot(losses, color="0.8", linewidth=0.8, label="every step")
    plt.plot(range(window - 1, len(losses)), smooth, color="C0", label=f"mean of {window} steps")
    plt.yscale("log")
    plt.xlabel("step")
    plt.ylabel("negative log likelihood")
    plt.legend()
    plt.tight_layout()
    plt.savefig(path, dpi=120)
    plt.close()


@torch.no_grad()
def draw_predictions(net, dataset, path):
    """32 test images with the net's answer and its probability; wrong answers in red."""
    images, labels = zip(*[dataset[i] for i in range(32)])
    probabilities, answers = (t.tolist() for t in net(torch.stack(images)).exp().max(dim=1))
    figure, axes = plt.subplots(4, 8, figsize=(9, 5.4))
    for ax, image, label, p, answer in zip(axes.flat, images, labels, probabilities, answers):
        ax.imshow(image[0].numpy(), cmap="gray_r")
        ax.set_title(f"{answer}  {100 * p:.0f} %", fontsize=9, color="black" if answer == label else "red")
        ax.axis("off")
    plt.tight_layout()
    plt.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", choices=("auto", "mnist", "digits"), default="auto")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    parser.add_argument("--out", default=".", help="folder for the pictures")
    options = parser.parse_args()

    start = time.perf_counter()
    torch.manual_seed(0)
    name, trainset, testset, epochs = load(options.source)
    print(f"data: {name}; {len(trainset):,} training and {len(testset):,} test images")
    net = Net()
    print(net)
    batches = DataLoader(trainset, batch_size=64, shuffle=True)
    losses = train(net, batches, options.epochs or epochs, options.steps)
    print(f"test accuracy: {test(net, DataLoader(testset, batch_size=1000)):.2f} %")

    os.makedirs(options.out, exist_ok=True)
    curve, answers = (os.path.join(options.out, f"mnist_{what}.png") for what in ("loss", "predictions"))
    draw_losses(losses, curve)
    draw_predictions(net, testset, answers)
    print(f"pictures: {curve}, {answers}")
    print(f"took {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
