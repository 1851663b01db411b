/** Exit codes of every command; refuted: all went well, and a claim did not hold. */
export const EXIT = { ok: 0, failed: 1, usage: 2, refuted: 3, SIGINT: 130, SIGTERM: 143 } as const;

/** The command was called wrongly; everything else that is thrown is a failed run. */
export class UsageError extends Error {}

/** A thrown value as one line of text without control characters, or with its stack if that is asked for. */
export function errorText(error: unknown, debug: boolean): string {
  if (debug && error instanceof Error && error.stack) return error.stack;
  const message = error instanceof Error ? error.message || error.name : String(error);
  return oneLine(message) || "unknown error";
}

/** Text on one line: what a user or a file put in may hold line breaks and terminal escapes. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  return text.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ").trim();
}
