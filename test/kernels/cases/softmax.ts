import { type CaseTable, floats, type KernelCase, Maker, output } from "./case.js";

const make = new Maker(8);
type Shape = readonly [outer: number, count: number, inner: number];

const shapes: Shape[] = [
  [0, 5, 3],
  [1, 1, 1],
  [5, 13, 17],
  [65, 10, 1],
  [3000, 10, 1],
  [2, 1000, 1],
  [1, 9000, 1],
  [3, 5, 900],
  [2, 3, 2],
  [1, 17, 5],
];
const size = (shape: Shape): number => shape[0] * shape[1] * shape[2];

const softmax = ([outer, count, inner]: Shape, log: number, mean = 0, std = 2): KernelCase<"softmax"> => ({
  title: `[${outer}, ${count}, ${inner}], log ${log}, mean ${mean}, standard deviation ${std}`,
  buffers: { x: make.normal(outer * count * inner, mean, std), y: output(outer * count * inner) },
  scalars: { outer, count, inner, log },
});

/** Rows of positive numbers that sum to one, or their logarithms. */
function probabilities([outer, count, inner]: Shape, log: number) {
  const y = make.uniform(outer * count * inner, 0.01, 1).data!;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let sum = 0;
      for (let k = 0; k < count; k++) sum += y[(o * count + k) * inner + i]!;
      for (let k = 0; k < count; k++) y[(o * count + k) * inner + i]! /= sum;
    }
  }
  return floats(log ? y.map(Math.log) : y);
}

const backward = (shape: Shape, log: number): KernelCase<"softmaxBackward"> => ({
  title: `[${shape.join(", ")}], log ${log}`,
  buffers: { y: probabilities(shape, log), dy: make.normal(size(shape)), dx: output(size(shape)) },
  scalars: { outer: shape[0], count: shape[1], inner: shape[2], log },
});

export const softmaxCases: CaseTable<"softmax" | "softmaxBackward"> = {
  softmax: [0, 1].flatMap((log) => [
    ...shapes.map((shape) => softmax(shape, log)),
    softmax([17, 10, 1], log, 0, 50),
    softmax([17, 10, 1], log, 500, 5),
    softmax([5, 10, 13], log, -500, 5),
  ]),
  softmaxBackward: [0, 1].flatMap((log) => shapes.map((shape) => backward(shape, log))),
};
