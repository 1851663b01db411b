/** Ticks and words of axes of experiments' figures. */

/** Powers of ten in [low, high], with 2 and 5 between them where there are few; at most about `most`. */
export function logTicks([low, high]: readonly [number, number], most = 8): number[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const inside = (tick: number) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9);
  const decades = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const powers = decades.map((power) => Number(`1e${power}`)).filter(inside);
  if (powers.length > most) {
    const gap = Math.ceil(powers.length / most);
    return powers.filter((_, i) => i % gap === 0);
  }
  for (const digits of [
    [1, 2, 5],
    [1, 3],
  ]) {
    const ticks = decades.flatMap((power) => digits.map((digit) => Number(`${digit}e${power}`))).filter(inside);
    if (ticks.length <= most) return ticks;
  }
  return powers;
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A tick in words: 1,000 and 0.01 as they are, 10⁻⁹ from five digits on. */
export function tickText(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    const [digits, power] = value.toExponential().split("e") as [string, string];
    const raised = [...String(Number(power))].map((c) => (c === "-" ? "⁻" : RAISED[Number(c)])).join("");
    return digits === "1" ? `10${raised}` : `${Number(Number(digits).toPrecision(3))}·10${raised}`;
  }
  return Number(value.toPrecision(6)).toLocaleString("en-US", { maximumFractionDigits: 6 }).replace("-", "−");
}
