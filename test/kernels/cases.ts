import type { KernelName } from "../../src/engine/kernels.js";
import { batchNormCases } from "./cases/batch-norm.js";
import type { CaseTable } from "./cases/case.js";
import { convCases } from "./cases/conv.js";
import { crossEntropyCases } from "./cases/cross-entropy.js";
import { depthWindowsCases } from "./cases/depth-windows.js";
import { distributionCases } from "./cases/distribution.js";
import { elementwiseCases } from "./cases/elementwise.js";
import { matmulCases } from "./cases/matmul.js";
import { memoryCases } from "./cases/memory.js";
import { momentCases } from "./cases/moments.js";
import { optimizerCases } from "./cases/optimizers.js";
import { poolCases } from "./cases/pool.js";
import { randomCases } from "./cases/random.js";
import { reduceCases } from "./cases/reduce.js";
import { rowNormCases } from "./cases/row-norm.js";
import { softmaxCases } from "./cases/softmax.js";

/** Argument cases for every kernel, over ragged shapes and every null that a kernel allows. */
export const cases: CaseTable<KernelName> = {
  ...memoryCases,
  ...elementwiseCases,
  ...reduceCases,
  ...matmulCases,
  ...convCases,
  ...depthWindowsCases,
  ...poolCases,
  ...batchNormCases,
  ...momentCases,
  ...rowNormCases,
  ...softmaxCases,
  ...crossEntropyCases,
  ...optimizerCases,
  ...randomCases,
  ...distributionCases,
};
