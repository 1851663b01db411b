/** Where the series of erf hands over to the continued fraction of erfc. */
const SWITCH = 2.5;
const SQRT_PI = Math.sqrt(Math.PI);

/** erf x = 2/√π · e^(-x²) · Σ 2^k x^(2k+1) / (1·3·5…(2k+1)): all terms have one sign (DLMF 7.6.2). */
function series(x: number): number {
  let term = x;
  let sum = x;
  for (let k = 1; Math.abs(term) > 1e-18 * Math.abs(sum); k++) {
    term *= (2 * x * x) / (2 * k + 1);
    sum += term;
  }
  return (2 / SQRT_PI) * Math.exp(-x * x) * sum;
}

/** erfc x = e^(-x²)/√π · 1/(x + ½/(x + 1/(x + 1½/(x + …)))), for x ≥ SWITCH (DLMF 7.9.1), from the inside out. */
function fraction(x: number): number {
  let denominator = x;
  for (let k = 100; k >= 1; k--) denominator = x + k / 2 / denominator;
  return Math.exp(-x * x) / (SQRT_PI * denominator);
}

/** erf x = 2/√π ∫₀ˣ e^(-t²) dt, to 1e-15. */
export function erf(x: number): number {
  if (x > SWITCH) return 1 - fraction(x);
  if (x < -SWITCH) return fraction(-x) - 1;
  return series(x);
}

/** erfc x = 1 - erf x, without cancellation where x is large. */
export function erfc(x: number): number {
  return x > SWITCH ? fraction(x) : 1 - erf(x);
}
