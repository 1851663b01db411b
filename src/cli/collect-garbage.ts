import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

let gc: (() => void) | null = null;

/**
 * Collects garbage now. An engine that nobody uses any more holds tens of megabytes of WebAssembly memory, but hardly any of the
 * JavaScript heap by which V8 judges whether to collect: without this, a worker of many jobs, each with an engine of its own,
 * fills the machine. Twice, since what tensors hold is given back in a turn of the event loop between.
 */
export async function collectGarbage(): Promise<void> {
  if (gc === null) {
    setFlagsFromString("--expose-gc");
    gc = runInNewContext("gc") as () => void;
  }
  gc();
  await new Promise((resolve) => setImmediate(resolve));
  gc();
}
