import { elementwise } from "./samples/elementwise.js";
import { loss } from "./samples/loss.js";
import { normalization } from "./samples/normalization.js";
import { pool } from "./samples/pool.js";
import { products } from "./samples/products.js";
import { rowNorm } from "./samples/row-norm.js";
import type { SampleTable } from "./samples/sample.js";
import { shape } from "./samples/shape.js";

/** Samples of every op by its name. */
export const samples: SampleTable = { ...elementwise, ...shape, ...products, ...pool, ...normalization, ...rowNorm, ...loss };
