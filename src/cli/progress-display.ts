import type { CompareEvent } from "../experiments/record.js";

/** Shows a running comparison. */
export interface Progress {
  on(event: CompareEvent): void;
  /** A line of text beside the progress. */
  note(text: string): void;
  /** Ends the display; the cursor is below it. Can be called twice. */
  close(): void;
}
