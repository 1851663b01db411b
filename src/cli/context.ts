/** Where a command writes: a stream of Node, or a stand-in of a test. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export type Interrupt = "SIGINT" | "SIGTERM";

/** What a command knows of the world around it. Commands touch `process` only through this. */
export interface CliContext {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls the listener at each Ctrl-C or SIGTERM, until the returned function is called. */
  onInterrupt(listener: (signal: Interrupt) => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** The context of this process. */
export function processContext(): CliContext {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    now: () => Date.now(),
    onInterrupt(listener) {
      const signals: Interrupt[] = ["SIGINT", "SIGTERM"];
      for (const signal of signals) process.on(signal, listener);
      return () => {
        for (const signal of signals) process.off(signal, listener);
      };
    },
    exit: (code) => process.exit(code),
  };
}
