// A process of its own: how much memory some training steps take beyond what the library and the data had taken before.
// node memory-evenkeel.mjs '{"network", "shape", "lr", "momentum", "threads", "steps"}' → {bytes, engine}
import { readFileSync, writeFileSync } from "node:fs";
import * as evenkeel from "../../dist/index.js";
import { labels, values } from "./data.mjs";
import { build } from "./layers-evenkeel.mjs";

const { compile, init, memory, nn, optim, tensor, tidy } = evenkeel;
const status = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;

const { network, shape, lr, momentum, threads, steps } = JSON.parse(process.argv[2]);
await init({ threads });
const x = tensor(values(shape, 1), shape);
const target = tensor(labels(shape[0], 10, 2), [shape[0]]);
// What making the inputs left behind is no part of a step.
globalThis.gc?.();
writeFileSync("/proc/self/clear_refs", "5"); // the peak starts from what is resident now
const before = status("VmRSS");
const engineBefore = memory().used;

const model = build(network);
const optimizer = new optim.SGD(model.parameters(), { lr, momentum });
const eager = () => {
  optimizer.zeroGrad();
  const loss = nn.crossEntropy(model.call(x), target);
  loss.backward();
  optimizer.step();
  return loss;
};
const step = compile ? compile(eager) : eager;
for (let i = 0; i < steps; i++) tidy(() => void step().item());
console.log(JSON.stringify({ bytes: status("VmHWM") - before, engine: memory().peak - engineBefore }));
process.exit(0);
