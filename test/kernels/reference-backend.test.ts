import { describe, expect, it } from "vitest";
import { BackendError, DisposedError } from "../../src/core/errors.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";

describe("ReferenceBackend", () => {
  it("keeps float32 in 64 bits and reads copies", () => {
    const backend = new ReferenceBackend();
    const storage = backend.alloc("float32", 2);
    backend.write(storage, [0.1, 2]);
    const data = backend.read(storage);
    expect(data).toEqual(Float64Array.of(0.1, 2));
    data[0] = 9;
    expect(backend.read(storage)[0]).toBe(0.1);
  });

  it("fills new memory with NaN or a number that stands out", () => {
    const backend = new ReferenceBackend();
    expect([...backend.read(backend.alloc("float32", 2))]).toEqual([NaN, NaN]);
    expect(backend.read(backend.alloc("int32", 1))[0]).toBe(0x5eadbeef);
    expect(backend.read(backend.alloc("uint8", 1))[0]).toBe(0xa5);
  });

  it("runs calls in order before a read and before a write, with memory released in between", () => {
    const backend = new ReferenceBackend();
    const [x, y] = [backend.alloc("float32", 1), backend.alloc("float32", 1)];
    backend.write(x, [1]);
    backend.call("copy", { x, y, n: 1 });
    backend.write(x, [2]);
    expect(backend.read(y)[0]).toBe(1);
    backend.call("copy", { x, y, n: 1 });
    backend.release(x);
    expect(backend.read(y)[0]).toBe(2);
  });

  it("runs what is pending once it is longer than 512 calls", () => {
    const backend = new ReferenceBackend();
    const cell = backend.alloc("float64", 1);
    backend.write(cell, [0]);
    const program = backend.program();
    program.append("fillCell", { y: cell, value: -1 });
    for (let i = 0; i < 1000; i++) backend.call("addToCell", { cell, amount: 1 });
    expect(backend.read(cell)[0]).toBe(1000);
    expect(program.length).toBe(1);
  });

  it("runs a program any number of times, after what is pending", () => {
    const backend = new ReferenceBackend();
    const cell = backend.alloc("float64", 1);
    const program = backend.program();
    program.append("addToCell", { cell, amount: 1 });
    backend.call("fillCell", { y: cell, value: 10 });
    program.run();
    program.run();
    expect(backend.read(cell)[0]).toBe(12);
    program.clear();
    program.run();
    expect(backend.read(cell)[0]).toBe(12);
  });

  it("reports bytes in use, the most there were, and the number of storages", () => {
    const backend = new ReferenceBackend();
    const first = backend.alloc("float32", 10);
    const second = backend.alloc("int32", 5);
    backend.release(first);
    expect(backend.memory()).toEqual({ used: 20, peak: 100, reserved: 20, storages: 1 });
    backend.release(second);
    expect(backend.memory()).toEqual({ used: 0, peak: 100, reserved: 0, storages: 0 });
  });

  it("refuses wrong lengths, missing and foreign memory, and memory that was released", () => {
    const backend = new ReferenceBackend();
    const x = backend.alloc("float32", 2);
    const foreign = new ReferenceBackend().alloc("float32", 2);
    expect(() => backend.alloc("float32", 1.5)).toThrow("alloc: expected a length that is a non-negative integer, got 1.5.");
    expect(() => backend.write(x, [1])).toThrow("write: expected 2 numbers, got 1.");
    expect(() => backend.read(foreign)).toThrow(BackendError);
    expect(() => backend.call("copy", { x: foreign, y: x, n: 2 })).toThrow("copy: argument x must be memory of the same backend");
    expect(() => backend.call("copy", { x: null as never, y: x, n: 2 })).toThrow("copy: argument x (in) is missing.");
    backend.release(x);
    expect(() => backend.call("copy", { x, y: x, n: 2 })).toThrow("copy: argument x was used after it was released.");
    expect(() => backend.release(x)).toThrow(DisposedError);
  });

  it("after dispose refuses work, but lets memory be released", () => {
    const backend = new ReferenceBackend();
    const x = backend.alloc("float32", 2);
    backend.dispose();
    expect(() => backend.alloc("float32", 2)).toThrow("alloc: the reference backend was disposed.");
    expect(() => backend.release(x)).not.toThrow();
    expect(backend.memory().storages).toBe(0);
  });
});
