import { Random } from "../../src/core/random.js";
import type { Backend, HostArray } from "../../src/engine/backend.js";
import { withBackend } from "../../src/engine/current.js";
import { compile, noGrad, ops, type Tensor, tensor, tidy } from "../../src/index.js";

/** Parameters and running statistics of a small network: convolution, batch norm, ReLU, max pooling, linear. */
export interface Network {
  parameters: Record<"conv" | "gamma" | "beta" | "weight" | "bias", Tensor>;
  runningMean: Tensor;
  runningVar: Tensor;
}

const CHANNELS = 11;
const CLASSES = 5;
const SIDE = 14;

export function makeNetwork(): Network {
  const random = new Random(5);
  const draw = (std: number, ...shape: number[]) =>
    tensor(
      Float32Array.from({ length: shape.reduce((p, q) => p * q, 1) }, () => std * random.normal()),
      shape,
      { requiresGrad: true },
    );
  return {
    parameters: {
      conv: draw(0.3, CHANNELS, 3, 3, 3),
      gamma: draw(1, CHANNELS),
      beta: draw(0.1, CHANNELS),
      weight: draw(0.1, CLASSES, CHANNELS * 49),
      bias: draw(0.1, CLASSES),
    },
    runningMean: tensor(new Float32Array(CHANNELS)),
    runningVar: tensor(new Float32Array(CHANNELS).fill(1)),
  };
}

export function makeImages(n: number, seed = 9): { images: Float32Array; labels: Int32Array } {
  const random = new Random(seed);
  const images = Float32Array.from({ length: n * 3 * SIDE * SIDE }, () => random.normal());
  return { images, labels: Int32Array.from({ length: n }, () => random.integer(CLASSES)) };
}

export const imageShape = (n: number) => [n, 3, SIDE, SIDE];

/** With `fused`, batch norm and ReLU are one kernel. */
export function forward(network: Network, x: Tensor, training: boolean, fused = false): Tensor {
  const { parameters: p, runningMean, runningVar } = network;
  const h = ops.conv2d(x, p.conv, null, { padding: 1 });
  const options = { training, weight: p.gamma, bias: p.beta, runningMean, runningVar };
  const active = fused ? ops.batchNorm(h, { ...options, activation: "relu" }) : ops.batchNorm(h, options).relu();
  return ops.linear(ops.maxPool2d(active, { kernelSize: 2 }).flatten(), p.weight, p.bias);
}

/** Trains on a backend by plain SGD; returns the last loss, the parameters and the running statistics. */
export function train(
  backend: Backend,
  steps: number,
  batch: number,
  fused = false,
  isCompiled = false,
): Record<string, HostArray> {
  return withBackend(backend, () => {
    const network = makeNetwork();
    const { images, labels } = makeImages(batch);
    const x = tensor(images, imageShape(batch));
    const target = tensor(labels);
    const step = () => {
      const y = ops.crossEntropy(forward(network, x, true, fused), target);
      y.backward();
      for (const p of Object.values(network.parameters)) {
        const next = noGrad(() => p.sub(p.grad!.mul(0.01)));
        backend.call("copy", { x: next.storage, y: p.storage, n: p.size });
        p.grad = null;
      }
      return y;
    };
    const run = isCompiled ? compile(step) : step;
    let loss: HostArray = new Float32Array(0);
    for (let i = 0; i < steps; i++) {
      tidy(() => {
        loss = run().data();
      });
    }
    const { parameters, ...statistics } = network;
    const state = Object.entries({ ...parameters, ...statistics }).map(([name, t]) => [name, t.data()] as const);
    for (const t of [x, target, ...Object.values(parameters), ...Object.values(statistics)]) t.dispose();
    return { loss, ...Object.fromEntries(state) };
  });
}
