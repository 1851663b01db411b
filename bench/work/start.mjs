// From `import` to the first result in a process of its own: load the library, normalize a batch, read the result.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { torchCommand } from "../peers/torch.mjs";

const bench = fileURLToPath(new URL("..", import.meta.url));
const dist = new URL("../../dist/index.js", import.meta.url).href;

const node = (code) => [
  process.execPath,
  "--input-type=module",
  "-e",
  `const start = performance.now(); ${code} process.stdout.write(\`\\n@\${performance.now() - start}\\n\`); process.exit(0);`,
];

const commands = {
  evenkeel: () =>
    node(`const { ops, tensor } = await import(${JSON.stringify(dist)});
      ops.batchNorm(tensor([1, 2, 3, 4], [2, 2]), { training: true }).data();`),
  torch: () => {
    const command = torchCommand();
    const code = `import time; start = time.perf_counter()
import torch
torch.nn.functional.batch_norm(torch.tensor([[1., 2.], [3., 4.]]), None, None, training=True).tolist()
print("@%f" % ((time.perf_counter() - start) * 1e3))`;
    return command && [command[0], "-c", code];
  },
  tfjs: () =>
    node(`const tf = await import("@tensorflow/tfjs"); await import("@tensorflow/tfjs-backend-wasm");
      const { readFileSync } = await import("node:fs");
      globalThis.fetch = async (path) => new Response(readFileSync(path), { headers: { "content-type": "application/wasm" } });
      await tf.setBackend("wasm"); const x = tf.tensor2d([1, 2, 3, 4], [2, 2]);
      const { mean, variance } = tf.moments(x, 0); tf.batchNorm(x, mean, variance).dataSync();`),
  jax: () =>
    node(`const { defaultDevice, init, nn, numpy: np } = await import("@jax-js/jax"); await init("wasm"); defaultDevice("wasm");
      nn.standardize(np.array([[1, 2], [3, 4]]), 0).dataSync();`),
};

/** {value: milliseconds of one start}; null if the peer cannot. */
function once(name) {
  const command = commands[name]();
  if (!command) return null;
  const { stdout } = spawnSync(command[0], command.slice(1), { cwd: bench, encoding: "utf8" });
  const found = /^@([\d.]+)$/m.exec(stdout ?? "");
  return found ? { value: Number(found[1]) } : null;
}

export const works = [{ name: "import to first result", unit: "ms", once }];
