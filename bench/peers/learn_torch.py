# PyTorch's part of the time to an accuracy: the loop of mnist.mjs.
import os
import time

import torch
import torch.nn.functional as F

TEST_BATCH = 1000


def read_part(folder, part):
    def read(name, header):
        with open(os.path.join(folder, f"{part}-{name}-ubyte"), "rb") as file:
            return torch.frombuffer(bytearray(file.read()[header:]), dtype=torch.uint8)

    images = read("images-idx3", 16).float().div(255).reshape(-1, 1, 28, 28)
    return images, read("labels-idx1", 8).long()


class Learn:
    def __init__(self, work, build, hashed):
        self.work, self.build, self.hashed = work, build, hashed
        self.train, self.test = [read_part(work["folder"], part) for part in ("train", "t10k")]

    def learner(self, seed):
        model = self.build(self.work["network"], seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=self.work["lr"], momentum=self.work["momentum"])

        def step(indices):
            images, labels = self.train[0][indices], self.train[1][indices]
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()

        return model, step

    def accuracy(self, model):
        right = 0
        model.eval()
        with torch.no_grad():
            for images, labels in zip(self.test[0].split(TEST_BATCH), self.test[1].split(TEST_BATCH)):
                right += int((model(images).argmax(1) == labels).sum())
        model.train()
        return right / len(self.test[1])

    def once(self, seed):
        work, batch = self.work, self.work["batch"]
        count = len(self.train[1])
        model, step = self.learner(0)
        step(torch.arange(batch))
        with torch.no_grad():
            model.eval()(self.test[0][:TEST_BATCH])
        model, step = self.learner(seed)
        seconds = steps = epoch = 0
        while True:
            indices = self.hashed(count, 1000 * seed + epoch).argsort()
            epoch += 1
            for start in range(0, count - batch + 1, batch):
                begin = time.perf_counter()
                step(indices[start : start + batch])
                seconds += time.perf_counter() - begin
                steps += 1
                if steps % work["every"] == 0:
                    accuracy = self.accuracy(model)
                    if accuracy >= work["accuracy"] or seconds > work["patience"]:
                        return {"seconds": seconds, "steps": steps, "accuracy": accuracy}
