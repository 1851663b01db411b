// MNIST for the participants in JavaScript, and the loop of a run that ends at a test accuracy; learn_torch.py is its twin.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { order } from "./data.mjs";

const HEADERS = { images: 16, labels: 8 };
const PIXELS = 28 * 28;
export const TEST_BATCH = 1000;

function readPart(folder, part) {
  const read = (what, rank) => readFileSync(join(folder, `${part}-${what}-idx${rank}-ubyte`)).subarray(HEADERS[what]);
  const images = Float32Array.from(read("images", 3), (pixel) => pixel / 255);
  return { images, labels: Int32Array.from(read("labels", 1)) };
}

/** Copies the examples `indices` into a batch. */
function gather({ images, labels }, indices) {
  const batch = { images: new Float32Array(indices.length * PIXELS), labels: new Int32Array(indices.length) };
  indices.forEach((index, i) => {
    batch.images.set(images.subarray(index * PIXELS, (index + 1) * PIXELS), i * PIXELS);
    batch.labels[i] = labels[index];
  });
  return batch;
}

/** The predicted classes are those with the largest of ten outputs. */
export function countRight(outputs, labels) {
  let right = 0;
  for (let i = 0; i < labels.length; i++) {
    const row = outputs.subarray(i * 10, i * 10 + 10);
    if (row.every((value) => value <= row[labels[i]])) right++;
  }
  return right;
}

async function accuracyOf(learner, test) {
  let right = 0;
  for (let start = 0; start < test.labels.length; start += TEST_BATCH) {
    const images = test.images.subarray(start * PIXELS, (start + TEST_BATCH) * PIXELS);
    right += countRight(await learner.outputs(images), test.labels.subarray(start, start + TEST_BATCH));
  }
  return right / test.labels.length;
}

/**
 * A kind of work for `serve`. `learnerOf(work, seed)` returns {step(images, labels), outputs(images), drop()}: a step leaves
 * nothing pending, outputs are those of the network in evaluation mode.
 */
export const learnWith = (learnerOf) => (work) => {
  const [train, test] = ["train", "t10k"].map((part) => readPart(work.folder, part));
  const untimed = async (learner) => {
    // A step of another network, so that nobody's first step pays for what later ones have ready.
    const batch = gather(
      train,
      Array.from({ length: work.batch }, (_, i) => i),
    );
    await learner.step(batch.images, batch.labels);
    await learner.outputs(test.images.subarray(0, TEST_BATCH * PIXELS));
    learner.drop();
  };
  return {
    once: async ({ seed }) => {
      await untimed(learnerOf(work, 0));
      const learner = learnerOf(work, seed);
      let [seconds, steps] = [0, 0];
      for (let epoch = 0; ; epoch++) {
        const indices = order(train.labels.length, 1000 * seed + epoch);
        for (let start = 0; start + work.batch <= indices.length; start += work.batch) {
          const begin = performance.now();
          const { images, labels } = gather(train, indices.subarray(start, start + work.batch));
          await learner.step(images, labels);
          seconds += (performance.now() - begin) / 1000;
          if (++steps % work.every === 0) {
            const accuracy = await accuracyOf(learner, test);
            const isOver = accuracy >= work.accuracy || seconds > work.patience;
            if (isOver) learner.drop();
            if (isOver) return { seconds, steps, accuracy };
          }
        }
      }
    },
  };
};
