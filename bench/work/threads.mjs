// What a second thread brings: time on one thread over time on two, for the largest training step.
import { vggStep } from "./train-step.mjs";

export const works = [{ ...vggStep, name: "second thread, VGG-6 step", scaling: [1, 2], peers: ["torch"] }];
