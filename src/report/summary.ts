import { finalWindow, meanOrNull } from "../charts/series.js";
import type { ArmName, ArmRecord, CompareOptions, CompareRecord, Distribution } from "../experiments/record.js";

/** The numbers of one arm that tables show. */
export interface ArmSummary {
  readonly name: ArmName;
  readonly steps: number;
  /** Steps at the end that `finalLoss` is the mean of: a tenth of the run, at most an epoch. */
  readonly finalWindow: number;
  /** Mean training loss of the last steps; null if one was not finite. */
  readonly finalLoss: number | null;
  readonly testAccuracy: number | null;
  readonly trainSeconds: number;
  readonly samplesPerSecond: number | null;
  /** First step whose loss was not finite. */
  readonly divergedAt: number | null;
}

export function summarize(record: CompareRecord): { plain: ArmSummary; norm: ArmSummary } {
  const [plain, norm] = record.arms.map((arm) => summarizeArm(arm, record.stepsPerEpoch)) as [ArmSummary, ArmSummary];
  return { plain, norm };
}

function summarizeArm(arm: ArmRecord, stepsPerEpoch: number): ArmSummary {
  const window = finalWindow(arm.losses.length, stepsPerEpoch);
  const lost = arm.losses.indexOf(null);
  return {
    name: arm.name,
    steps: arm.losses.length,
    finalWindow: window,
    finalLoss: meanOrNull(arm.losses.slice(-window)),
    testAccuracy: arm.finalTestAccuracy,
    trainSeconds: arm.trainSeconds,
    samplesPerSecond: arm.samplesPerSecond,
    divergedAt: lost < 0 ? null : lost + 1,
  };
}

/**
 * How far a unit's median travels from snapshot to snapshot, in widths of that unit's own middle 70 % (mean over time),
 * averaged over the units that have a spread. Pooling cannot hide it. Null with fewer than two snapshots.
 */
export function unitDrift(distributions: readonly Distribution[]): number | null {
  const units = distributions[0]?.units.p50.length ?? 0;
  const drifts: number[] = [];
  for (let u = 0; u < units; u++) {
    const medians = distributions.map(({ units: { p50 } }) => p50[u] ?? Number.NaN);
    const widths = distributions.map(({ units: { p15, p85 } }) => (p85[u] ?? Number.NaN) - (p15[u] ?? Number.NaN));
    const width = widths.reduce((a, b) => a + b, 0) / widths.length;
    let path = 0;
    for (let i = 1; i < medians.length; i++) path += Math.abs((medians[i] as number) - (medians[i - 1] as number));
    if (Number.isFinite(path) && width > 0) drifts.push(path / width);
  }
  return distributions.length < 2 ? null : meanOrNull(drifts);
}

/** The command that repeats a run, in parts that belong together: every option that decides its numbers, in full. */
export function commandParts(config: CompareOptions): string[] {
  const parts = [
    "npx evenkeel compare",
    `--data ${config.data}`,
    `--epochs ${config.epochs}`,
    `--lr ${config.lr}`,
    `--batch ${config.batch}`,
    `--hidden ${config.hidden.join(",")}`,
    `--activation ${config.activation}`,
    `--seed ${config.seed}`,
    `--threads ${config.threads}`,
  ];
  if (config.dataDir !== undefined) parts.push(`--data-dir ${shellQuote(config.dataDir)}`);
  if (!config.deterministic) parts.push("--no-deterministic");
  return parts;
}

function shellQuote(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
