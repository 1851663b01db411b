# PyTorch's part of the memory of a training step; memory-evenkeel.mjs is its twin.
import json
import sys

sys.dont_write_bytecode = True  # no __pycache__ beside the sources

import torch  # noqa: E402
from networks_torch import TrainStep  # noqa: E402


def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


work = json.loads(sys.argv[1])
torch.set_num_threads(work["threads"])
data = TrainStep.data(work)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts from what is resident now
before = status("VmRSS")
step = TrainStep(work, data)
for _ in range(work["steps"]):
    step.repeat()
print(json.dumps({"bytes": status("VmHWM") - before}))
