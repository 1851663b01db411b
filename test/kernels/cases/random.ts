import { type CaseTable, ints, output, sizes } from "./case.js";

/** Seeds and draw counts, as [seed low, seed high, draws low, draws high]. */
const states = [
  [0, 0, 0, 0],
  [7, 0, 3, 0],
  [-1, 123456789, -1, 5],
  [0x12345678, -0x789abcde, 0x7fffffff, -1],
];

export const randomCases: CaseTable<"randomUniform" | "randomNormal" | "dropoutMask" | "advanceRandom"> = {
  randomUniform: [
    ...sizes.map((n) => ({
      title: `n = ${n}`,
      buffers: { state: ints(states[1]!), y: output(n) },
      scalars: { n, low: 0, high: 1 },
    })),
    ...states.map((state) => ({
      title: `state ${state}, -0.3 to 0.7`,
      buffers: { state: ints(state), y: output(67) },
      scalars: { n: 67, low: -0.3, high: 0.7 },
    })),
  ],
  randomNormal: [
    ...sizes.map((n) => ({
      title: `n = ${n}`,
      buffers: { state: ints(states[1]!), y: output(n) },
      scalars: { n, mean: 0, std: 1 },
    })),
    ...states.map((state) => ({
      title: `state ${state}, mean 2, standard deviation 0.05`,
      buffers: { state: ints(state), y: output(67) },
      scalars: { n: 67, mean: 2, std: 0.05 },
    })),
  ],
  dropoutMask: [
    ...sizes.map((n) => ({ title: `n = ${n}`, buffers: { state: ints(states[1]!), y: output(n) }, scalars: { n, p: 0.3 } })),
    ...[0, 0.5, 0.9].map((p) => ({
      title: `p = ${p}`,
      buffers: { state: ints(states[2]!), y: output(8195) },
      scalars: { n: 8195, p },
    })),
  ],
  advanceRandom: [...states, [5, 6, -1, -1]].map((state) => ({
    title: `state ${state}`,
    buffers: { state: ints(state) },
    scalars: {},
  })),
};
