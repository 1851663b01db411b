/** Receives each distinct warning once. */
export type WarningHandler = (message: string) => void;

const seen = new Set<string>();
let handler: WarningHandler = (message) => console.warn(`evenkeel: ${message}`);

/** Replaces the one handler of warnings (default: `console.warn`) and returns the previous one. */
export function setWarningHandler(next: WarningHandler): WarningHandler {
  const previous = handler;
  handler = next;
  seen.clear();
  return previous;
}

/** Passes `message` to the warning handler the first time it is seen. */
export function warnOnce(message: string): void {
  if (seen.has(message)) return;
  seen.add(message);
  handler(message);
}
