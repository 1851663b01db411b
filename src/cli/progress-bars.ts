import { MultiBar, type Params, type SingleBar } from "cli-progress";
import { ARM_LABELS } from "../charts/theme.js";
import { ARM_NAMES, type ArmName, type CompareEvent } from "../experiments/record.js";
import { formatLoss, formatRate } from "../report/numbers.js";
import { type Paint, painter } from "./colour.js";
import type { CliContext, Output } from "./context.js";
import { oneLine } from "./errors.js";
import type { Progress } from "./progress-display.js";
import { startLine } from "./progress-lines.js";
import { clock, timeLeft } from "./time.js";

/** Milliseconds between two drawings. */
const DRAW_EVERY = 100;

interface Payload {
  arm: ArmName;
  epoch: number;
  epochs: number;
  loss: number | null;
  rate: number | null;
  left: number | null;
}

interface ArmBar {
  bar: SingleBar;
  first: { step: number; at: number } | undefined;
}

/** A bar per arm with epoch, newest loss, speed and time left. */
export function barProgress(output: Output, context: CliContext): Progress {
  const paint = painter(output, context.env);
  const multi = new MultiBar({
    stream: output as NodeJS.WritableStream,
    format: (_options, params, payload: Payload) => barLine(params, payload, output.columns || 80, paint),
    fps: 1000 / DRAW_EVERY,
    hideCursor: true,
    emptyOnZero: true,
    gracefulExit: false,
  });
  const bars = new Map<ArmName, ArmBar>();
  let epochs = 0;
  let drawn = 0;
  let open = true;

  // Training may hold the event loop for long, so drawing is driven by events and not by the bars' own timer alone.
  const draw = () => {
    if (context.now() - drawn < DRAW_EVERY) return;
    drawn = context.now();
    multi.update();
  };

  return {
    on(event: CompareEvent) {
      if (!open) return;
      if (event.type === "start") {
        epochs = event.epochs;
        output.write(`${startLine(event)}\n`);
        for (const arm of ARM_NAMES) {
          const payload: Payload = { arm, epoch: 1, epochs, loss: null, rate: null, left: null };
          bars.set(arm, { bar: multi.create(event.totalSteps, 0, payload), first: undefined });
        }
      } else if (event.type === "step") {
        const entry = bars.get(event.arm);
        if (!entry) return;
        entry.first ??= { step: event.step, at: context.now() };
        const left = timeLeft(entry.first, event.step, event.totalSteps, context.now());
        const { arm, epoch } = event;
        const payload: Payload = { arm, epoch, epochs, loss: event.losses[arm], rate: event.samplesPerSecond[arm], left };
        entry.bar.update(event.step, payload);
        draw();
      }
    },
    note(text: string) {
      if (open && bars.size > 0) multi.log(`${oneLine(text)}\n`);
      else output.write(`${text}\n`);
    },
    close() {
      if (open && bars.size > 0) {
        multi.update();
        multi.stop();
      }
      open = false;
    },
  };
}

/** One bar as text that fits into `columns`: what matters least goes first where it is tight. */
export function barLine(params: Pick<Params, "value" | "total">, payload: Payload, columns: number, paint: Paint): string {
  const fraction = params.total > 0 ? Math.min(1, params.value / params.total) : 0;
  const name = ARM_LABELS[payload.arm].padEnd(10);
  const details = [
    `${String(Math.floor(100 * fraction)).padStart(3)}%`,
    `loss ${formatLoss(payload.loss).padEnd(5)}`,
    payload.left === null ? " ".repeat(9) : `${clock(payload.left)} left`.padEnd(9),
    `epoch ${String(payload.epoch).padStart(String(payload.epochs).length)}/${payload.epochs}`,
    `${formatRate(payload.rate).padStart(7)} images/s`,
  ];
  const room = (count: number) =>
    columns - 1 - name.length - 2 - details.slice(0, count).reduce((sum, text) => sum + text.length + 2, 0);
  let shown = details.length;
  while (shown > 1 && room(shown) < 8) shown--;
  const width = Math.max(1, Math.min(40, room(shown)));
  const full = Math.round(fraction * width);
  const bar = paint(payload.arm, "█".repeat(full)) + "░".repeat(width - full);
  return [paint(payload.arm, name), bar, ...details.slice(0, shown)].join("  ").trimEnd();
}
