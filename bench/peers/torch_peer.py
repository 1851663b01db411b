# PyTorch as a participant: the protocol of serve.mjs, the inputs of data.mjs.
import json
import statistics
import sys
import time

import torch
import torch.nn as nn

sys.dont_write_bytecode = True  # no __pycache__ beside the sources
from accuracy_torch import Accuracy  # noqa: E402
from learn_torch import Learn  # noqa: E402
from networks_torch import TrainStep, build, hashed, values  # noqa: E402

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


KINDS = {
    "batchNormTrain": BatchNormTrain,
    "batchNormEval": BatchNormEval,
    "matmul": MatMul,
    "trainStep": TrainStep,
    "accuracy": Accuracy,
    "learn": lambda work: Learn(work, build, hashed),
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
    if do == "once":
        return current.once(request["seed"])
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
