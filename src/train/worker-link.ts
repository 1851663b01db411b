import { BackendError, DisposedError, type EvenkeelError, OptionError } from "../core/errors.js";
import { type Endpoint, onBreak, onMessage } from "./endpoint.js";
import { errorFrom } from "./error-data.js";
import type { Calls, CallType, Reply, Request, TrainerEvent } from "./protocol.js";

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  onEvent?: ((event: TrainerEvent) => void) | undefined;
}

/** The page's side of the channel: requests go out, each with a promise of its answer. */
export class WorkerLink {
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;
  /** Why nothing can be asked any more. */
  private end: EvenkeelError | null = null;

  constructor(private readonly endpoint: Endpoint) {
    onMessage(endpoint, (message) => this.receive(message as Reply));
    onBreak(endpoint, (reason) => {
      this.close(new BackendError(`the training worker failed${reason === "" ? "; does its script load?" : `: ${reason}.`}`));
    });
  }

  /** Sends a request; `id` is its number. What is in `transfer` is gone from here. */
  ask<K extends CallType>(
    type: K,
    args: Calls[K]["args"],
    { transfer = [], onEvent }: { transfer?: ArrayBuffer[]; onEvent?: ((event: TrainerEvent) => void) | undefined } = {},
  ): { id: number; answer: Promise<Calls[K]["result"]> } {
    const id = ++this.count;
    const answer = new Promise<unknown>((resolve, reject) => {
      if (this.end !== null) throw this.end;
      try {
        this.endpoint.postMessage({ type, id, args } as Request<K>, transfer);
      } catch (cause) {
        throw new OptionError(`${type}: expected what can be cloned into a worker (${(cause as Error).message}).`, { cause });
      }
      this.waiting.set(id, { resolve, reject, onEvent });
    });
    return { id, answer: answer as Promise<Calls[K]["result"]> };
  }

  /** Ends the worker. Whoever waits for an answer gets the error. */
  close(error: EvenkeelError = new DisposedError("trainer: used after it was disposed of.")): void {
    if (this.end !== null) return;
    this.end = error;
    if (this.endpoint.terminate) this.endpoint.terminate();
    else this.endpoint.close?.();
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  private receive(message: Reply): void {
    const waiting = this.waiting.get(message.id);
    if (waiting === undefined) return;
    if (message.type === "event") {
      waiting.onEvent?.(message.event);
      return;
    }
    this.waiting.delete(message.id);
    if (message.type === "answer") waiting.resolve(message.value);
    else waiting.reject(errorFrom(message.error));
  }
}
