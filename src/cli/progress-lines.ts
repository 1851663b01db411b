import { ARM_LABELS } from "../charts/theme.js";
import { ARM_NAMES, type ArmName, type CompareEvent, type EpochResult } from "../experiments/record.js";
import { formatCount, formatLoss, formatPercent } from "../report/numbers.js";
import type { CliContext, Output } from "./context.js";
import type { Progress } from "./progress-display.js";
import { clock, timeLeft } from "./time.js";

/** One line at the start and one when both arms have finished an epoch: for files, pipes and continuous integration. */
export function lineProgress(output: Output, context: CliContext): Progress {
  const started = context.now();
  const waiting = new Map<number, Partial<Record<ArmName, EpochResult>>>();
  let epochs = 0;
  let first: { step: number; at: number } | undefined;
  let left: number | null = null;
  const print = (text: string) => void output.write(`${text}\n`);

  const flush = (epoch: number) => {
    const results = waiting.get(epoch);
    waiting.delete(epoch);
    const parts = ARM_NAMES.flatMap((arm) => {
      const result = results?.[arm];
      return result ? [`${ARM_LABELS[arm]} loss ${formatLoss(result.meanLoss)} test ${formatPercent(result.testAccuracy)}`] : [];
    });
    const times = `${clock(context.now() - started)} elapsed${left === null ? "" : `, ${clock(left)} left`}`;
    print(`epoch ${String(epoch).padStart(String(epochs).length)}/${epochs}  ${parts.join("  ")}  ${times}`);
  };

  return {
    on(event: CompareEvent) {
      if (event.type === "start") {
        epochs = event.epochs;
        print(startLine(event));
      } else if (event.type === "step") {
        first ??= { step: event.step, at: context.now() };
        left = timeLeft(first, event.step, event.totalSteps, context.now());
      } else {
        const { type: _, arm, ...result } = event;
        const both = { ...waiting.get(event.epoch), [arm]: result };
        waiting.set(event.epoch, both);
        if (ARM_NAMES.every((name) => both[name])) flush(event.epoch);
      }
    },
    note: print,
    close() {
      for (const epoch of [...waiting.keys()]) flush(epoch);
    },
  };
}

/** What is trained, in one line. */
export function startLine({ data, epochs, stepsPerEpoch }: Extract<CompareEvent, { type: "start" }>): string {
  const images = `${formatCount(data.trainImages)} training and ${formatCount(data.testImages)} test images`;
  return `${data.sample ? "SMALL SAMPLE: " : ""}${data.source}: ${images}; ${epochs} × ${stepsPerEpoch} steps`;
}
