# Inputs and networks of the benchmarks in PyTorch: those of data.mjs and layers-evenkeel.mjs.
import torch
import torch.nn as nn
import torch.nn.functional as F

MASK = 0xFFFFFFFF


def hashed(count, seed):
    start = (seed * 1000003 + 1) & MASK
    h = ((torch.arange(count, dtype=torch.int64) + start) * 2654435761) & MASK
    h = ((h ^ (h >> 15)) * 2246822519) & MASK
    h = ((h ^ (h >> 13)) * 3266489917) & MASK
    return h ^ (h >> 16)


def size_of(shape):
    count = 1
    for length in shape:
        count *= length
    return count


def values(shape, seed, scale=1.0):
    unit = (hashed(size_of(shape), seed) >> 8).double() / 2**23 - 1
    return (unit * scale).float().reshape(tuple(shape))


def labels(count, classes, seed):
    return hashed(count, seed) % classes


LAYERS = {
    "linear": nn.Linear,
    "conv": lambda i, o, kernel, padding: nn.Conv2d(i, o, kernel, padding=padding),
    "batchNorm1d": nn.BatchNorm1d,
    "batchNorm2d": nn.BatchNorm2d,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "maxPool": nn.MaxPool2d,
    "flatten": nn.Flatten,
}


def build(network, seed=0):
    """A network with the start values that every participant has."""
    model = nn.Sequential(*[LAYERS[layer[0]](*layer[1:]) for layer in network])
    with torch.no_grad():
        for index, (name, p) in enumerate(model.named_parameters()):
            if p.dim() > 1:
                p.copy_(values(p.shape, 100 * (seed + 1) + index, (3 / size_of(p.shape[1:])) ** 0.5))
            else:
                p.fill_(1.0 if name.endswith("weight") else 0.0)
    return model


class TrainStep:
    @staticmethod
    def data(work):
        return values(work["shape"], 1), labels(work["shape"][0], 10, 2)

    def __init__(self, work, data=None):
        self.model = build(work["network"])
        self.x, self.target = data or self.data(work)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=work["lr"], momentum=work["momentum"])

    def repeat(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss = F.cross_entropy(self.model(self.x), self.target)
        self.loss.backward()
        self.optimizer.step()

    def check(self):
        losses = []
        for _ in range(3):
            self.repeat()
            losses.append(self.loss.item())
        return {"losses": losses}
