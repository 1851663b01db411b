// The families of work, by the names that the command line takes.
import { works as batchNorm } from "./batch-norm.mjs";
import { works as learn } from "./learn.mjs";
import { works as matmul } from "./matmul.mjs";
import { works as memory } from "./memory.mjs";
import { works as size } from "./size.mjs";
import { works as start } from "./start.mjs";
import { works as threads } from "./threads.mjs";
import { works as trainStep } from "./train-step.mjs";

export const families = {
  "batch-norm": batchNorm,
  matmul,
  "train-step": trainStep,
  learn,
  threads,
  start,
  memory,
  size,
};
