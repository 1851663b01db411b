// A thread of the WASM backend: instantiates the kernels on the shared memory and serves programs until it is told to stop.
// The same file runs as a worker of Node and as a module worker of a browser.

/** @param {{ module: WebAssembly.Module, memory: WebAssembly.Memory, control: number, thread: number, workspace: number, failed: number, ready: number }} start */
function serve({ module, memory, control, thread, workspace, failed, ready }) {
  const words = new Int32Array(memory.buffer);
  try {
    const instance = new WebAssembly.Instance(module, {
      env: {
        memory,
        wait: (/** @type {number} */ address, /** @type {number} */ value) => void Atomics.wait(words, address >>> 2, value),
      },
    });
    const exports = /** @type {{ setup: Function, serve: Function }} */ (/** @type {unknown} */ (instance.exports));
    exports.setup(control, thread, workspace);
    Atomics.add(words, (control + ready) >>> 2, 1);
    Atomics.notify(words, (control + ready) >>> 2);
    exports.serve(0);
  } catch (error) {
    Atomics.store(words, (control + failed) >>> 2, thread);
    throw error;
  }
}

if (typeof process === "object" && process.versions?.node) {
  const { workerData } = await import("node:worker_threads");
  serve(workerData);
} else {
  addEventListener("message", (event) => serve(event.data), { once: true });
}
