import type { ChartSize } from "./theme.js";

/** Ticks of a horizontal axis that counts steps and is read in epochs. */
export interface TimeAxis {
  readonly domain: [number, number];
  readonly label: string;
  readonly ticks: number[];
  readonly format: (step: number) => string;
}

/** An axis from the start to `steps`: labelled in epochs, or in steps where fewer than two epochs were trained. */
export function timeAxis(steps: number, stepsPerEpoch: number, size: ChartSize, panels = 1): TimeAxis {
  const most = Math.max(3, Math.floor(size.width / panels / 58));
  const inEpochs = steps >= 2 * stepsPerEpoch;
  const unit = inEpochs ? stepsPerEpoch : 1;
  const last = Math.max(1, steps);
  const gap = niceGap(last / unit, most);
  const ticks: number[] = [];
  for (let tick = 0; tick * unit <= last * 1.0001; tick += gap) ticks.push(tick * unit);
  return {
    domain: [0, last],
    label: inEpochs ? `Epoch (${stepsPerEpoch} steps each)` : `Training step (${stepsPerEpoch} make an epoch)`,
    ticks,
    format: (step) => String(Math.round(step / unit)),
  };
}

/** The smallest of 1, 2, 5, 10, 20, … that needs at most `most` ticks for `range`. */
function niceGap(range: number, most: number): number {
  for (let power = 1; ; power *= 10) {
    for (const digit of [1, 2, 5]) if (range / (digit * power) <= most) return digit * power;
  }
}

/** "before training", "step 10", "epoch 5": a moment as people name it. */
export function momentName(step: number, stepsPerEpoch: number): string {
  if (step === 0) return "start";
  return step % stepsPerEpoch === 0 ? `epoch ${step / stepsPerEpoch}` : `step ${step}`;
}
