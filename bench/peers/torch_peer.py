# PyTorch as a participant: the protocol of serve.mjs, the inputs of data.mjs.
import json
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.dont_write_bytecode = True  # no __pycache__ beside the sources
from accuracy_torch import Accuracy  # noqa: E402

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


def sample(t):
    flat = t.detach().flatten()
    count = min(64, flat.numel())
    return [float(flat[i * flat.numel() // count]) for i in range(count)]


def batch_norm(shape):
    channels = shape[1]
    layer = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(channels)
    with torch.no_grad():
        layer.weight.copy_(1 + values([channels], 5, 0.5))
        layer.bias.copy_(values([channels], 6, 0.5))
        layer.running_mean.copy_(values([channels], 7, 0.5))
        layer.running_var.copy_(1 + values([channels], 8, 0.5))
    return layer


class BatchNormTrain:
    def __init__(self, work):
        shape = work["shape"]
        self.x = values(shape, 1).requires_grad_()
        self.dy = values(shape, 2)
        self.layer = batch_norm(shape)

    def repeat(self):
        self.x.grad = self.layer.weight.grad = self.layer.bias.grad = None
        self.y = self.layer(self.x)
        self.y.backward(self.dy)

    def check(self):
        self.repeat()
        return {"y": sample(self.y), "dx": sample(self.x.grad), "dweight": sample(self.layer.weight.grad)}


class BatchNormEval:
    def __init__(self, work):
        shape = work["shape"]
        self.x = values(shape, 1)
        self.layer = batch_norm(shape).eval()

    def repeat(self):
        with torch.no_grad():
            self.y = self.layer(self.x)

    def check(self):
        self.repeat()
        return {"y": sample(self.y)}


class MatMul:
    def __init__(self, work):
        shape = [work["size"], work["size"]]
        self.a, self.b = values(shape, 1), values(shape, 2)

    def repeat(self):
        self.y = self.a @ self.b

    def check(self):
        self.repeat()
        return {"y": sample(self.y)}


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


class TrainStep:
    def __init__(self, work):
        self.model = nn.Sequential(*[LAYERS[layer[0]](*layer[1:]) for layer in work["network"]])
        with torch.no_grad():
            for index, (name, p) in enumerate(self.model.named_parameters()):
                if p.dim() > 1:
                    p.copy_(values(p.shape, 100 + index, (3 / size_of(p.shape[1:])) ** 0.5))
                else:
                    p.fill_(1.0 if name.endswith("weight") else 0.0)
        self.x = values(work["shape"], 1)
        self.target = labels(work["shape"][0], 10, 2)
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


KINDS = {
    "batchNormTrain": BatchNormTrain,
    "batchNormEval": BatchNormEval,
    "matmul": MatMul,
    "trainStep": TrainStep,
    "accuracy": Accuracy,
}


def run(repeat, seconds):
    clock = time.perf_counter
    start = clock()
    while True:
        repeat()
        if clock() - start >= seconds / 10:
            break
    times = []
    start = now = clock()
    while len(times) < 2 or now - start < seconds:
        before = now
        repeat()
        now = clock()
        times.append(now - before)
    return {"ms": statistics.median(times) * 1e3, "repetitions": len(times)}


current = None


def answer(request):
    global current
    do = request["do"]
    if do == "hello":
        torch.set_num_threads(request["threads"])
        return {"versions": {"PyTorch": torch.__version__, "Python": sys.version.split()[0]}}
    if do == "prepare":
        work = request["work"]
        if work["kind"] not in KINDS:
            return {"note": "not written for this peer"}
        current = KINDS[work["kind"]](work)
        return {}
    if do == "check":
        return {"values": current.check()}
    if do == "run":
        return run(current.repeat, request["seconds"])
    current = None
    return {}


for line in sys.stdin:
    try:
        result = answer(json.loads(line))
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), flush=True)
