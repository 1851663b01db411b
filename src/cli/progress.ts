import type { CompareEvent } from "../experiments/record.js";
import type { CliContext, Output } from "./context.js";
import { barProgress } from "./progress-bars.js";
import { lineProgress } from "./progress-lines.js";

/** Shows a running comparison. */
export interface Progress {
  on(event: CompareEvent): void;
  /** A line of text beside the progress. */
  note(text: string): void;
  /** Ends the display; the cursor is below it. Can be called twice. */
  close(): void;
}

/** Bars on a terminal, plain lines elsewhere, nothing but notes if `quiet`. */
export function createProgress(output: Output, context: CliContext, quiet: boolean): Progress {
  if (quiet) return { on: () => undefined, note: (text) => void output.write(`${text}\n`), close: () => undefined };
  const terminal = output.isTTY === true && context.env.TERM !== "dumb";
  return terminal ? barProgress(output, context) : lineProgress(output, context);
}

/** "0:09", "12:30", "1:02:03". */
export function clock(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const [hours, ...rest] = parts as [number, number, number];
  const shown = hours > 0 ? [hours, ...rest] : rest;
  return shown.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

/** Time left of an arm at its mean speed since its first step; null while that is unknown. */
export function timeLeft(first: { step: number; at: number }, step: number, total: number, now: number): number | null {
  if (step <= first.step) return null;
  return ((now - first.at) / (step - first.step)) * (total - step);
}
