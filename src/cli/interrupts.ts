import type { CliContext, Interrupt } from "./context.js";
import { EXIT } from "./errors.js";

/** What is told of an interrupt, and closed before the process ends. */
interface Display {
  note(text: string): void;
  close(): void;
}

/** The first Ctrl-C asks the run to end, the second ends the process. */
export function watchInterrupts(context: CliContext, progress: Display) {
  const controller = new AbortController();
  let by: Interrupt | undefined;
  const stop = context.onInterrupt((signal) => {
    if (by !== undefined) {
      progress.close();
      context.exit(EXIT[signal]);
      return;
    }
    by = signal;
    progress.note("interrupted: writing what was done so far (once more to quit at once)");
    controller.abort();
  });
  return { signal: controller.signal, by: () => by, stop };
}
