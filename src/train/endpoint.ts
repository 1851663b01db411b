/**
 * One end of a channel of messages: a Worker or MessagePort of a browser or of node:worker_threads, `parentPort`, or the global
 * scope of a browser's worker.
 */
export interface Endpoint {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  /** Browsers. */
  addEventListener?(type: string, listener: (event: Event) => void): void;
  /** Node. */
  on?(type: string, listener: (value: unknown) => void): unknown;
  start?(): void;
  close?(): void;
  terminate?(): unknown;
}

/** Calls `fn` with the contents of every message, and begins to receive. */
export function onMessage(endpoint: Endpoint, fn: (message: unknown) => void): void {
  if (endpoint.on) endpoint.on("message", fn);
  else endpoint.addEventListener?.("message", (event) => fn((event as MessageEvent).data));
  endpoint.start?.();
}

/** Calls `fn` with a reason, "" where there is none, when the other side cannot go on: a script that does not load, say. */
export function onBreak(endpoint: Endpoint, fn: (reason: string) => void): void {
  if (endpoint.on) {
    endpoint.on("error", (error) => fn((error as Error).message));
    endpoint.on("exit", (code) => fn(`it exited with code ${code}`));
    return;
  }
  endpoint.addEventListener?.("error", (event) => fn((event as ErrorEvent).message ?? ""));
  endpoint.addEventListener?.("messageerror", () => fn("it sent a message that cannot be read"));
}

/** Calls `fn` when the other end of a MessagePort is closed. A worker never hears of its end. */
export function onClose(endpoint: Endpoint, fn: () => void): void {
  if (endpoint.on) endpoint.on("close", fn);
  else endpoint.addEventListener?.("close", fn);
}

/** The buffers that typed arrays lie in, each once, without those that are shared anyway. */
export function buffersOf(arrays: Iterable<unknown>): ArrayBuffer[] {
  const buffers = [...arrays].flatMap((array) => (ArrayBuffer.isView(array) ? [array.buffer] : []));
  return [...new Set(buffers)].filter((buffer) => buffer instanceof ArrayBuffer);
}
