import type { CliContext, Output } from "./context.js";
import { barProgress } from "./progress-bars.js";
import type { Progress } from "./progress-display.js";
import { lineProgress } from "./progress-lines.js";

/** Bars on a terminal, plain lines elsewhere, nothing but notes if `quiet`. */
export function createProgress(output: Output, context: CliContext, quiet: boolean): Progress {
  if (quiet) return { on: () => undefined, note: (text) => void output.write(`${text}\n`), close: () => undefined };
  const terminal = output.isTTY === true && context.env.TERM !== "dumb";
  return terminal ? barProgress(output, context) : lineProgress(output, context);
}
