// A thread of the WASM backend: instantiates the kernels on the shared memory and serves programs until it is told to stop.
// The same file runs as a worker of Node and as a module worker of a browser.

/**
 * @typedef {{ failed: number, ready: number, generation: number }} Offsets in the control block
 * @param {{ module: WebAssembly.Module, memory: WebAssembly.Memory, control: number, thread: number, workspace: number, offsets: Offsets }} start
 */
function serve({ module, memory, control, thread, workspace, offsets }) {
  let words = new Int32Array(memory.buffer);
  /** @param {number} address */
  const wordAt = (address) => {
    const word = address >>> 2;
    // A view of a memory that has grown since does not reach the new part.
    if (word >= words.length) words = new Int32Array(memory.buffer);
    return word;
  };
  /** @param {number} address @param {number} value */
  const wait = (address, value) => {
    const word = wordAt(address);
    Atomics.wait(words, word, value);
  };
  try {
    const instance = new WebAssembly.Instance(module, { env: { memory, wait } });
    const exports = /** @type {{ setup: Function, serve: Function }} */ (/** @type {unknown} */ (instance.exports));
    exports.setup(control, thread, workspace);
    Atomics.add(words, wordAt(control + offsets.ready), 1);
    exports.serve(0);
  } catch (error) {
    // Whoever failed before this thread has released it from its barrier and has been reported.
    if (Atomics.compareExchange(words, wordAt(control + offsets.failed), 0, thread) !== 0) return;
    const generation = wordAt(control + offsets.generation);
    Atomics.add(words, generation, 1);
    Atomics.notify(words, generation);
    throw error;
  }
}

if (typeof process === "object" && process.versions?.node) {
  const { workerData } = await import("node:worker_threads");
  serve(workerData);
} else {
  addEventListener("message", (event) => serve(event.data), { once: true });
}
