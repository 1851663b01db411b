/** A table of 2^bits values is made once, by a format's definition. */
function table(bits: number, at: (code: number) => number): Float32Array {
  return Float32Array.from({ length: 2 ** bits }, (_, code) => at(code));
}

interface Format {
  readonly exponentBits: number;
  readonly fractionBits: number;
  readonly bias: number;
  /** Whether the largest exponent stands for infinity and NaN, as in IEEE 754. E4M3 has no infinity and one NaN of each sign. */
  readonly hasInfinity: boolean;
}

function decode(code: number, { exponentBits, fractionBits, bias, hasInfinity }: Format): number {
  const sign = code >> (exponentBits + fractionBits) ? -1 : 1;
  const exponent = (code >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = code & (2 ** fractionBits - 1);
  const isTop = exponent === 2 ** exponentBits - 1;
  if (isTop && hasInfinity) return fraction === 0 ? sign * Infinity : NaN;
  if (isTop && fraction === 2 ** fractionBits - 1) return NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
  return sign * (1 + fraction * 2 ** -fractionBits) * 2 ** (exponent - bias);
}

const E4M3: Format = { exponentBits: 4, fractionBits: 3, bias: 7, hasInfinity: false };
const E5M2: Format = { exponentBits: 5, fractionBits: 2, bias: 15, hasInfinity: true };
const HALF: Format = { exponentBits: 5, fractionBits: 10, bias: 15, hasInfinity: true };

let half: Float32Array | null = null;

/** Half precision (IEEE 754 binary16), exactly. */
export function float16Values(codes: Uint16Array): Float32Array {
  half ??= table(16, (code) => decode(code, HALF));
  const values = half;
  return Float32Array.from(codes, (code) => values[code]!);
}

/** bfloat16, the upper half of a float32, exactly. */
export function bfloat16Values(codes: Uint16Array): Float32Array {
  const bits = Uint32Array.from(codes, (code) => code << 16);
  return new Float32Array(bits.buffer);
}

/** The two 8-bit formats of Micikevicius et al. 2022, "FP8 formats for deep learning" (arXiv 2209.05433), exactly. */
export function float8Values(codes: Uint8Array, dtype: "F8_E4M3" | "F8_E5M2"): Float32Array {
  const values = table(8, (code) => decode(code, dtype === "F8_E4M3" ? E4M3 : E5M2));
  return Float32Array.from(codes, (code) => values[code]!);
}
