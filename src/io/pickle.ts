import { DataError } from "../core/errors.js";

/** What a pickle can give here: plain values, and what the caller makes of the classes it knows. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | object;

/** A class or function that a pickle names. */
export class PickleGlobal {
  constructor(readonly name: string) {}
}

export interface PickleWorld {
  /** Whether a class or function, as "module.name", may be named. */
  knows(name: string): boolean;
  /** What calling it gives; `undefined` if it cannot be called with that. */
  call(name: string, args: readonly PickleValue[]): PickleValue | undefined;
  /** What a persistent id stands for. */
  persistent(id: PickleValue): PickleValue;
}

const MARK = Symbol("mark");
type Item = PickleValue | typeof MARK;

/**
 * Reads a pickle as data: a machine with a stack, which knows only what plain dictionaries of tensors need. Nothing that the file
 * names is executed; a class or an instruction that is not known ends the reading.
 *
 * @see CPython, Lib/pickletools.py, which describes every instruction
 */
class Unpickler {
  private readonly view: DataView;
  private readonly stack: Item[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private at = 0;
  /** Where the instruction under way began. */
  private start = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly file: string,
    private readonly world: PickleWorld,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private fail(what: string): never {
    throw new DataError(`${this.file}: byte ${this.start}: ${what}`);
  }

  run(): PickleValue {
    for (;;) {
      this.start = this.at;
      const code = this.u8();
      if (code === 0x2e) return this.pop(); // STOP
      const step = steps[code];
      if (step === undefined) this.fail(`expected an instruction of a plain state dictionary, got 0x${code.toString(16)}.`);
      step(this);
    }
  }

  // ---- reading ----

  private take(count: number): Uint8Array {
    if (count > this.bytes.length - this.at)
      this.fail(`expected ${count} more bytes, the pickle has ${this.bytes.length - this.at}.`);
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  u8(): number {
    return this.take(1)[0]!;
  }

  u16(): number {
    this.take(2);
    return this.view.getUint16(this.at - 2, true);
  }

  i32(): number {
    this.take(4);
    return this.view.getInt32(this.at - 4, true);
  }

  u32(): number {
    return this.i32() >>> 0;
  }

  u64(): number {
    this.take(8);
    const value = this.view.getBigUint64(this.at - 8, true);
    return value > Number.MAX_SAFE_INTEGER ? this.fail(`expected a length, got ${value}.`) : Number(value);
  }

  /** A double with its high byte first. */
  f64(): number {
    this.take(8);
    return this.view.getFloat64(this.at - 8, false);
  }

  text(length: number): string {
    return new TextDecoder().decode(this.take(length));
  }

  raw(length: number): Uint8Array {
    return this.take(length).slice();
  }

  /** The text up to the end of the line. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) this.fail("expected the end of a line.");
    const text = this.text(end - this.at);
    this.at++;
    return text;
  }

  /** An integer of any length, low byte first, in two's complement. */
  long(length: number): PickleValue {
    if (length > 32) this.fail(`expected an integer of at most 32 bytes, got ${length}.`);
    const bytes = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    if (length > 0 && bytes[length - 1]! > 127) value -= 1n << BigInt(8 * length);
    const small = Number(value);
    return Number.isSafeInteger(small) ? small : value;
  }

  // ---- stack and memo ----

  push(value: Item): void {
    this.stack.push(value);
  }

  pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined || value === MARK) this.fail("expected a value on the stack, got none.");
    return value as PickleValue;
  }

  top(): PickleValue {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  /** What was pushed since the last mark. */
  popMark(): PickleValue[] {
    const at = this.stack.lastIndexOf(MARK);
    if (at < 0) this.fail("expected a mark on the stack, got none.");
    const values = this.stack.splice(at);
    return values.slice(1) as PickleValue[];
  }

  mark(): void {
    this.stack.push(MARK);
  }

  put(index: number): void {
    this.memo.set(index, this.top());
  }

  memoize(): void {
    this.put(this.memo.size);
  }

  get(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) this.fail(`expected a value that was noted before, got number ${index}.`);
    this.push(value);
  }

  // ---- building ----

  tuple(count: number): void {
    const items = Array.from({ length: count }, () => this.pop()).reverse();
    this.push(items);
  }

  append(values: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) this.fail("expected a list to append to.");
    for (const value of values) list.push(value);
  }

  setItems(values: readonly PickleValue[]): void {
    const map = this.top();
    if (!(map instanceof Map) || values.length % 2 !== 0) this.fail("expected a dictionary, and keys with values.");
    for (let i = 0; i < values.length; i += 2) map.set(values[i]!, values[i + 1]!);
  }

  global(module: string, name: string): void {
    const full = `${module}.${name}`;
    if (!this.world.knows(full)) {
      this.fail(`expected only what a plain state dictionary consists of, got ${JSON.stringify(full)}, which is not loaded.`);
    }
    this.push(new PickleGlobal(full));
  }

  stackGlobal(): void {
    const [name, module] = [this.pop(), this.pop()];
    if (typeof name !== "string" || typeof module !== "string") this.fail("expected the name of a class.");
    this.global(module, name);
  }

  reduce(): void {
    const [args, callee] = [this.pop(), this.pop()];
    if (!(callee instanceof PickleGlobal) || !Array.isArray(args)) this.fail("expected a known function and its arguments.");
    const result = this.world.call(callee.name, args);
    if (result === undefined) this.fail(`expected other arguments for ${callee.name}.`);
    this.push(result);
  }

  /** Attributes of an object: a dictionary of tensors has `_metadata`, which nothing here needs. */
  build(): void {
    const state = this.pop();
    if (!(this.top() instanceof Map) || !(state instanceof Map)) this.fail("expected attributes of a dictionary.");
  }

  persistent(): void {
    this.push(this.world.persistent(this.pop()));
  }
}

/** What each instruction does, by its code. */
const steps: Readonly<Record<number, (m: Unpickler) => void>> = {
  40: (m) => m.mark(), // (
  41: (m) => m.push([]), // )
  48: (m) => void m.pop(), // 0
  71: (m) => m.push(m.f64()), // G
  74: (m) => m.push(m.i32()), // J
  75: (m) => m.push(m.u8()), // K
  77: (m) => m.push(m.u16()), // M
  78: (m) => m.push(null), // N
  81: (m) => m.persistent(), // Q
  82: (m) => m.reduce(), // R
  85: (m) => m.push(m.text(m.u8())), // U
  88: (m) => m.push(m.text(m.u32())), // X
  93: (m) => m.push([]), // ]
  97: (m) => m.append([m.pop()]), // a
  98: (m) => m.build(), // b
  99: (m) => m.global(m.line(), m.line()), // c
  101: (m) => m.append(m.popMark()), // e
  104: (m) => m.get(m.u8()), // h
  106: (m) => m.get(m.u32()), // j
  113: (m) => m.put(m.u8()), // q
  114: (m) => m.put(m.u32()), // r
  115: (m) => m.setItems([m.pop(), m.pop()].reverse()), // s
  116: (m) => m.push(m.popMark()), // t
  117: (m) => m.setItems(m.popMark()), // u
  125: (m) => m.push(new Map()), // }
  128: (m) => void m.u8(), // PROTO
  133: (m) => m.tuple(1),
  134: (m) => m.tuple(2),
  135: (m) => m.tuple(3),
  136: (m) => m.push(true),
  137: (m) => m.push(false),
  138: (m) => m.push(m.long(m.u8())), // LONG1
  140: (m) => m.push(m.text(m.u8())), // SHORT_BINUNICODE
  141: (m) => m.push(m.text(m.u64())), // BINUNICODE8
  147: (m) => m.stackGlobal(),
  148: (m) => m.memoize(),
  149: (m) => void m.u64(), // FRAME
  66: (m) => m.push(m.raw(m.u32())), // B
  67: (m) => m.push(m.raw(m.u8())), // C
};

/**
 * The value that a pickle holds: dictionaries as Map, lists and tuples as arrays, and what `world` makes of classes.
 *
 * @throws DataError with file, byte and reason
 */
export function readPickle(bytes: Uint8Array, file: string, world: PickleWorld): PickleValue {
  return new Unpickler(bytes, file, world).run();
}
