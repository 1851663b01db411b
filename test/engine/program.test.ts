import { describe, expect, test } from "vitest";
import type { Storage } from "../../src/engine/backend.js";
import { HEADER_BYTES, layouts } from "../../src/engine/wasm/layout.js";
import { type Machine, WasmProgram, type WasmStorage } from "../../src/engine/wasm/program.js";

/** Memory without kernels: what is run is a copy of the records. */
class FakeMachine implements Machine {
  private readonly buffer = new ArrayBuffer(1 << 20);
  readonly ints = new Int32Array(this.buffer);
  readonly doubles = new Float64Array(this.buffer);
  readonly taken: [address: number, bytes: number][] = [];
  readonly given: [address: number, bytes: number][] = [];
  records = new Int32Array();
  private top = 64;

  take(bytes: number): number {
    const address = this.top;
    this.top += Math.ceil(bytes / 64) * 64;
    this.taken.push([address, bytes]);
    return address;
  }

  give(address: number, bytes: number): void {
    this.given.push([address, bytes]);
  }

  check(): void {}

  execute(start: number, end: number): void {
    const [, bytes] = this.taken.find(([address]) => address === start)!;
    expect(end - start).toBeLessThanOrEqual(bytes);
    this.records = this.ints.slice(start >>> 2, end >>> 2);
  }
}

/** `n` floats at `address`. */
const at = (address: number, n = 4) =>
  ({ address, bytes: 4 * n, length: n, dtype: "float32" }) as unknown as Storage & WasmStorage;

/** The records that `append` makes, in order. */
function recordsOf(append: (program: WasmProgram) => void, bytes = 1 << 12): Int32Array[] {
  const machine = new FakeMachine();
  const program = new WasmProgram(machine, bytes);
  append(program);
  program.run();
  const records: Int32Array[] = [];
  for (let word = 0; word < machine.records.length; ) {
    const size = machine.records[word + 2]! >>> 2;
    records.push(machine.records.subarray(word, word + size));
    word += size;
  }
  expect(records.length).toBe(program.length);
  program.dispose();
  // All that was taken was given back, the room from before the program grew as well.
  expect(machine.given.map(String).sort()).toEqual(machine.taken.map(String).sort());
  return records;
}

const waits = (records: readonly Int32Array[]) => records.map((record) => record[1] === 1);

/** The table of list `name`, or null. */
function tableOf(record: Int32Array, kernel: keyof typeof layouts, name: string): number[] | null {
  const field = layouts[kernel].fields.find((f) => f.name === name)!;
  const offset = record[field.offset >>> 2]!;
  if (offset === 0) return null;
  const word = (HEADER_BYTES + offset) >>> 2;
  return [...record.subarray(word, word + record[word - 1]!)];
}

const settings = { momentum: 0, dampening: 0, weightDecay: 0, nesterov: 0 };
const cells = { lr: at(8192), step: at(8256) };

function update(program: WasmProgram, params: Storage[], grads: Storage[], velocities: Storage[] | null = null): void {
  program.append("sgd", { params, grads, velocities, sizes: params.map((p) => p.length), ...cells, ...settings });
}

describe("a call waits for one before it", () => {
  // Of two calls that thread 0 computes alone neither waits: here one is divided among threads.
  const n = 100_000;
  const write = (program: WasmProgram, y: Storage) => program.append("fill", { y, n, value: 1 });
  const read = (program: WasmProgram, x: Storage) => program.append("copy", { x, y: at(7000), n });

  test.each([0, 1, 2])("that wrote array %i of a list it reads", (i) => {
    const grads = [at(5000), at(5064), at(5128)];
    const records = recordsOf((program) => {
      write(program, grads[i]!);
      update(program, [at(6000), at(6064), at(6128)], grads);
    });
    expect(waits(records)).toEqual([false, true]);
  });

  test.each([0, 1, 2])("that read or wrote array %i of a list it writes", (i) => {
    const params = [at(6000), at(6064), at(6128)];
    const grads = [at(5000), at(5064), at(5128)];
    for (const before of [write, read]) {
      const records = recordsOf((program) => {
        before(program, params[i]!);
        update(program, params, grads);
      });
      expect(waits(records)).toEqual([false, true]);
    }
  });

  test.each([0, 1, 2])("that wrote array %i of a list and now is read, or read it and now is written", (i) => {
    const [params, grads] = [
      [at(6000), at(6064), at(6128)],
      [at(5000), at(5064), at(5128)],
    ];
    const waitsOf = (next: (program: WasmProgram) => void) =>
      waits(
        recordsOf((program) => {
          update(program, params, grads);
          next(program);
        }),
      );
    expect(waitsOf((program) => read(program, params[i]!))).toEqual([false, true]);
    expect(waitsOf((program) => write(program, grads[i]!))).toEqual([false, true]);
    expect(waitsOf((program) => read(program, grads[i]!))).toEqual([false, false]);
  });

  test("but not where all arrays are others, and both only read what they share", () => {
    const grads = [at(5000), at(5064)];
    const records = recordsOf((program) => {
      update(program, [at(6000), at(6064)], grads);
      update(program, [at(6128), at(6192)], grads);
    });
    expect(waits(records)).toEqual([false, false]);
  });

  test("as each phase but the first does", () => {
    const xs = [at(5000, 9000), at(45_000, 3)];
    const records = recordsOf((program) => program.append("addSquares", { xs, sizes: [9000, 3], total: at(8192) }));
    expect(records.map((record) => [...record.subarray(0, 5)])).toEqual([
      [layouts.addSquares.opcodes[0], 0, records[0]!.byteLength, 2, 1],
      [layouts.addSquares.opcodes[1], 1, records[0]!.byteLength, 2, 2],
    ]);
    for (const record of records) expect(tableOf(record, "addSquares", "sizes")).toEqual([9000, 3]);
  });
});

describe("lists", () => {
  const count = 3000;
  const params = Array.from({ length: count }, (_, i) => at(65_536 + 64 * i, 1));
  const grads = Array.from({ length: count }, (_, i) => at(524_288 + 64 * i, 1));

  test("of 3,000 arrays keep their addresses and sizes in a program that began with 256 bytes, and when it moves", () => {
    const records = recordsOf((program) => {
      update(program, params.slice(0, 5), grads.slice(0, 5), grads.slice(5, 10));
      update(program, params, grads);
      update(program, params.slice(0, 1), grads.slice(0, 1));
    }, 256);
    const addresses = (storages: WasmStorage[]) => storages.map(({ address }) => address);
    const [first, second] = records as [Int32Array, Int32Array];
    expect(tableOf(first, "sgd", "params")).toEqual(addresses(params.slice(0, 5)));
    expect(tableOf(first, "sgd", "velocities")).toEqual(addresses(grads.slice(5, 10)));
    expect(tableOf(second, "sgd", "params")).toEqual(addresses(params));
    expect(tableOf(second, "sgd", "grads")).toEqual(addresses(grads));
    expect(tableOf(second, "sgd", "velocities")).toBeNull();
    expect(tableOf(second, "sgd", "sizes")).toEqual(params.map(() => 1));
    expect(records.map((record) => record.byteLength % 8)).toEqual([0, 0, 0]);
  });

  test("without elements make no record", () => {
    expect(recordsOf((program) => update(program, [at(6000, 0)], [at(5000, 0)]))).toEqual([]);
  });

  test("of small arrays are one grain: 30 arrays of 7 elements are 30 units, of which 512 stay together", () => {
    const small = Array.from({ length: 30 }, (_, i) => at(65_536 + 64 * i, 7));
    const [record] = recordsOf((program) => update(program, small, small));
    expect([...record!.subarray(3, 5)]).toEqual([30, 512]);
  });
});
