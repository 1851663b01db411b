// What a second thread brings: time on one thread over time on two.
import { batchNormOf } from "./batch-norm.mjs";
import { productOf } from "./matmul.mjs";
import { lenetStep, vggStep } from "./train-step.mjs";

const scaled = ({ limit, flops, ...work }) => ({
  ...work,
  name: `second thread, ${work.name}`,
  scaling: [1, 2],
  peers: ["torch"],
});

export const works = [
  vggStep,
  lenetStep,
  batchNormOf("batchNormTrain", "forward + backward", [64, 64, 32, 32]),
  productOf(512),
].map(scaled);
