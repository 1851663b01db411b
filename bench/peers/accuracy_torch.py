# PyTorch's part of the accuracy table: the files of accuracy-files.mjs.
import os

import torch
import torch.nn.functional as F


def read(folder, name, shape):
    path = os.path.join(folder, name)
    flat = torch.from_file(path, shared=False, size=os.path.getsize(path) // 4, dtype=torch.float32)
    return flat.clone().reshape(tuple(shape))


def write(folder, name, t):
    path = os.path.join(folder, name)
    torch.from_file(path, shared=True, size=t.numel(), dtype=torch.float32).copy_(t.detach().flatten())


class Accuracy:
    def __init__(self, work):
        self.work = work

    def one_pass(self, mean, variance, training):
        folder, shape = self.work["folder"], self.work["shape"]
        channels = [shape[1]]
        x = read(folder, "x", shape).requires_grad_()
        weight = read(folder, "weight", channels).requires_grad_()
        bias = read(folder, "bias", channels).requires_grad_()
        y = F.batch_norm(x, mean, variance, weight, bias, training, 1.0, self.work["eps"])
        y.backward(read(folder, "dy", shape))
        return y, x.grad, weight.grad

    def check(self):
        folder, into, channels = self.work["folder"], self.work["into"], [self.work["shape"][1]]
        mean, variance = torch.zeros(channels), torch.ones(channels)
        trained = self.one_pass(mean, variance, True)
        evaluated = self.one_pass(read(folder, "mean", channels), read(folder, "variance", channels), False)
        names = ["y", "dx", "dweight", "evalY", "evalDx", "evalDweight", "mean", "variance"]
        for name, t in zip(names, [*trained, *evaluated, mean, variance]):
            write(into, name, t)
        return {}
