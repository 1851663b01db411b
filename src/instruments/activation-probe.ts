import { OptionError } from "../core/errors.js";
import type { Module } from "../nn/module.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkPercentiles, type Description, describe } from "./describe.js";
import { checkBins, type HistogramOptions, type Histograms, histogram } from "./histogram.js";
import { isMeasuring } from "./measure.js";
import { checkValues, type Units } from "./units.js";

/** One run of the module that was looked at. */
export interface ActivationRecord extends Description {
  /** The number of runs of the module that came before, as far as the probe counts them. */
  pass: number;
  /** Whether the module was in training mode. */
  training: boolean;
  /** Null unless asked for. */
  histogram: Histograms | null;
}

export interface ActivationProbeOptions {
  /** Whether the module's first input or its output is described (default "output"). */
  at?: "input" | "output";
  /** Looks at every k-th run of the module, from the first on (default 1). */
  every?: number;
  /** Which runs are counted and looked at (default "both"). */
  mode?: "training" | "evaluation" | "both";
  /** From 0 to 100 (default 15, 50 and 85). */
  percentiles?: readonly number[];
  /** Bins and range, or true for the defaults, whose range differs from record to record (default false). */
  histogram?: boolean | Omit<HistogramOptions, "units">;
  /** "channel" describes each unit, the entries of axis 1, besides all values together (default "pooled"). */
  units?: Units;
}

/**
 * Sits on a module and describes what comes out of it, or goes in: see `describe` and `histogram`. A training run keeps every
 * bit. What instruments run on their own is not noted.
 *
 * Cost: that of `describe` for each run that is looked at; it waits for what is pending. A recorded step (`compile`) runs as it is
 * when a run is due and is repeated as before in between, so with `every: k` one step of k is slower; a repeated step counts as
 * one run of the module, however often it runs in it.
 *
 * @throws OptionError for options out of range; RecordingError in a recorded step
 * @example
 * const probe = new ActivationProbe(model.at(3), { every: 100, units: "channel" });
 * for (const batch of batches) step(batch);
 * probe.records.map(({ pass, pooled }) => [pass, ...pooled.percentiles]);
 * probe.detach();
 */
export class ActivationProbe {
  /** All that was noted, oldest first. */
  readonly records: ActivationRecord[] = [];
  private readonly options: Required<ActivationProbeOptions>;
  private passes = 0;
  /** The first pass that is to be looked at again. */
  private next = 0;
  private readonly removeHook: () => void;

  constructor(
    readonly module: Module,
    options: ActivationProbeOptions = {},
  ) {
    this.options = checked(options);
    this.removeHook = module.registerForwardHook((_, [input], output) => this.watch(input, output), {
      isDue: () => this.counts && this.passes >= this.next,
      skip: () => {
        if (this.counts) this.passes++;
      },
    });
  }

  /** The latest record, or null. */
  get last(): ActivationRecord | null {
    return this.records.at(-1) ?? null;
  }

  /** Forgets all records. */
  clear(): void {
    this.records.length = 0;
  }

  /** Takes the probe off the module; its records stay. Harmless when repeated. */
  detach(): void {
    this.removeHook();
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  /** Whether a run of the module as it is now is counted. */
  private get counts(): boolean {
    const { mode } = this.options;
    return !isMeasuring() && (mode === "both" || (mode === "training") === this.module.training);
  }

  private watch(input: Tensor | undefined, output: Tensor): void {
    if (!this.counts) return;
    const pass = this.passes++;
    if (pass < this.next) return;
    const { at, every, percentiles, units, histogram: bins } = this.options;
    const x = at === "output" ? output : input;
    if (x === undefined) throw new OptionError("ActivationProbe: expected a module with an input, got a call without any.");
    checkValues("ActivationProbe", x, units);
    const options = bins === true ? {} : bins;
    this.next = pass + every;
    this.records.push({
      pass,
      training: this.module.training,
      ...describe(x, { percentiles, units }),
      histogram: options ? histogram(x, { ...options, units }) : null,
    });
  }
}

function oneOf<T extends string>(name: string, value: T, allowed: readonly T[]): void {
  if (allowed.includes(value)) return;
  throw new OptionError(`ActivationProbe: expected ${name} to be ${allowed.join(", ")}, got ${JSON.stringify(value)}.`);
}

function checked(options: ActivationProbeOptions): Required<ActivationProbeOptions> {
  const { at = "output", every = 1, mode = "both", histogram = false, units = "pooled" } = options;
  if (!Number.isSafeInteger(every) || every < 1) {
    throw new OptionError(`ActivationProbe: expected every to be an integer of at least 1, got ${every}.`);
  }
  oneOf("at", at, ["input", "output"]);
  oneOf("mode", mode, ["training", "evaluation", "both"]);
  oneOf("units", units, ["pooled", "channel"]);
  if (typeof histogram === "object") checkBins("ActivationProbe", histogram);
  const percentiles = [...checkPercentiles("ActivationProbe", options.percentiles)];
  return { at, every, mode, percentiles, histogram, units };
}
