import cliProgress from "cli-progress";
import { formatLoss, formatPercent } from "../report/numbers.js";
import type { EpochSummary, FitEvent } from "../train/fit.js";
import type { CliContext, Output } from "./context.js";
import { clock, timeLeft } from "./time.js";

/** Shows a run of `fit`. */
export interface TrainProgress {
  on(event: FitEvent): void;
  note(text: string): void;
  close(): void;
}

function epochLine(event: EpochSummary, epochs: number, elapsed: number): string {
  const accuracy = event.validationAccuracy === null ? "" : ` ${formatPercent(event.validationAccuracy)}`;
  const validation = event.validationLoss === null ? "" : `  validation ${formatLoss(event.validationLoss)}${accuracy}`;
  const number = String(event.epoch).padStart(String(epochs).length);
  return `epoch ${number}/${epochs}  loss ${formatLoss(event.trainLoss)}${validation}  ${clock(elapsed)}`;
}

/** A bar on a terminal with a line for each finished epoch above it; only the lines elsewhere; nothing but notes if `quiet`. */
export function trainProgress(output: Output, context: CliContext, quiet: boolean): TrainProgress {
  const started = context.now();
  const terminal = !quiet && output.isTTY === true && context.env.TERM !== "dumb";
  const format = "{bar} step {value}/{total}  loss {loss}  {left} left";
  const bars = terminal
    ? new cliProgress.MultiBar(
        {
          format,
          stream: output as NodeJS.WriteStream,
          hideCursor: true,
          barsize: 30,
          clearOnComplete: true,
          stopOnComplete: false,
        },
        cliProgress.Presets.shades_grey,
      )
    : null;
  let bar: cliProgress.SingleBar | null = null;
  let epochs = 0;
  let first: { step: number; at: number } | undefined;
  const print = (text: string) => void (bars ? bars.log(`${text}\n`) : output.write(`${text}\n`));
  return {
    on(event) {
      if (event.type === "start") {
        epochs = event.epochs;
        bar = bars?.create(event.epochs * event.stepsPerEpoch, 0, { loss: "–", left: "–" }) ?? null;
      } else if (event.type === "step") {
        first ??= { step: event.step, at: context.now() };
        const left = timeLeft(first, event.step, event.totalSteps, context.now());
        bar?.update(event.step, { loss: formatLoss(event.loss), left: left === null ? "–" : clock(left) });
      } else if (event.type === "epoch" && !quiet) print(epochLine(event, epochs, context.now() - started));
    },
    note: print,
    close: () => bars?.stop(),
  };
}
