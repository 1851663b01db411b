/** Weight standardization in float64, by plain loops: equations 5 to 7 of Qiao et al. 2019, with ε under the root. */
export function standardizedWeights(w: ArrayLike<number>, outputs: number, eps: number): Float64Array {
  const result = new Float64Array(w.length);
  const inputs = w.length / outputs;
  for (let i = 0; i < outputs; i++) {
    const at = (j: number) => w[i * inputs + j]!;
    let mean = 0;
    for (let j = 0; j < inputs; j++) mean += at(j) / inputs;
    let variance = 0;
    for (let j = 0; j < inputs; j++) variance += (at(j) - mean) ** 2 / inputs;
    for (let j = 0; j < inputs; j++) result[i * inputs + j] = (at(j) - mean) / Math.sqrt(variance + eps);
  }
  return result;
}
