import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError } from "../../src/core/errors.js";
import { readSafetensors, writeSafetensors } from "../../src/io/safetensors.js";
import { type StoredDType, type StoredTensor, tensorOf, valuesOf } from "../../src/io/stored.js";
import { tensor } from "../../src/tensor/create.js";

/** A file of a header as it is given and some bytes of data. */
function fileOf(header: unknown, data = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + data);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  return file;
}

const bytesOf = (values: { buffer: ArrayBufferLike }) => new Uint8Array(values.buffer);
const one = (dtype: StoredDType, shape: number[], bytes: Uint8Array): StoredTensor => ({ dtype, shape, bytes });

describe("safetensors", () => {
  it("gives back any state: names, types, shapes, bytes and metadata", () => {
    const state = fc.dictionary(
      fc.string({ minLength: 1 }).filter((name) => name !== "__metadata__" && name !== "__proto__"),
      fc.tuple(fc.constantFrom<StoredDType>("F32", "F16", "I64", "U8", "F64", "BOOL"), fc.array(fc.nat(3), { maxLength: 3 })),
    );
    const width = { F32: 4, F16: 2, I64: 8, U8: 1, F64: 8, BOOL: 1 } as Record<StoredDType, number>;
    const texts = fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      fc.string(),
    );
    fc.assert(
      fc.property(state, texts, (shapes, metadata) => {
        const tensors = new Map(
          Object.entries(shapes).map(([name, [dtype, shape]], k) => {
            const size = shape.reduce((a, b) => a * b, 1) * width[dtype];
            return [
              name,
              one(
                dtype,
                shape,
                Uint8Array.from({ length: size }, (_, i) => (i * 7 + k) & 255),
              ),
            ];
          }),
        );
        const read = readSafetensors(writeSafetensors(tensors, metadata));
        expect(read.metadata).toEqual(metadata);
        expect(new Set(read.tensors.keys())).toEqual(new Set(tensors.keys()));
        for (const [name, t] of tensors) expect({ ...read.tensors.get(name)! }).toEqual({ ...t });
      }),
    );
  });

  it("writes the same bytes for the same state, whatever its order, with every tensor aligned", () => {
    const [a, b] = [tensor([1, 2, 3]), tensor([[1, 2]], [1, 2])];
    const counter = tensor(Int32Array.of(7), []);
    const entries: [string, typeof a][] = [
      ["b.weight", b],
      ["a", a],
      ["bn.num_batches_tracked", counter],
    ];
    const file = writeSafetensors(new Map(entries));
    expect(file).toEqual(writeSafetensors(new Map([...entries].reverse())));
    const read = readSafetensors(file);
    expect(read.tensors.get("bn.num_batches_tracked")).toMatchObject({ dtype: "I64", shape: [] });
    for (const t of read.tensors.values()) expect(t.bytes.byteOffset % (t.dtype === "I64" ? 8 : 4)).toBe(0);
    expect([...tensorOf(read.tensors.get("bn.num_batches_tracked")!).data()]).toEqual([7]);
  });

  it.each<[StoredDType, Uint8Array, number[]]>([
    ["F64", bytesOf(Float64Array.of(0.1, -2)), [0.1, -2]],
    ["F32", bytesOf(Float32Array.of(0.5, -Infinity)), [0.5, -Infinity]],
    [
      "F16",
      bytesOf(Uint16Array.of(0x3c00, 0xc000, 0x7c00, 0x0001, 0x7bff, 0x3555)),
      [1, -2, Infinity, 2 ** -24, 65504, 0.333251953125],
    ],
    ["BF16", bytesOf(Uint16Array.of(0x3f80, 0xc040, 0xff80)), [1, -3, -Infinity]],
    ["F8_E4M3", Uint8Array.of(0x38, 0x7e, 0x7f, 0x01, 0xb8), [1, 448, NaN, 2 ** -9, -1]],
    ["F8_E5M2", Uint8Array.of(0x3c, 0x7b, 0x7c, 0x01), [1, 57344, Infinity, 2 ** -16]],
    ["I64", bytesOf(BigInt64Array.of(-5n, 2147483647n)), [-5, 2147483647]],
    ["U64", bytesOf(BigUint64Array.of(3n)), [3]],
    ["I32", bytesOf(Int32Array.of(-7)), [-7]],
    ["U32", bytesOf(Uint32Array.of(7)), [7]],
    ["I16", bytesOf(Int16Array.of(-300)), [-300]],
    ["U16", bytesOf(Uint16Array.of(65535)), [65535]],
    ["I8", bytesOf(Int8Array.of(-1)), [-1]],
    ["U8", Uint8Array.of(255), [255]],
    ["BOOL", Uint8Array.of(0, 1), [0, 1]],
  ])("reads %s exactly, also from an odd address", (dtype, bytes, expected) => {
    const odd = new Uint8Array(bytes.length + 1);
    odd.set(bytes, 1);
    for (const given of [bytes, odd.subarray(1)]) expect([...valuesOf(one(dtype, [expected.length], given))]).toEqual(expected);
  });

  it("refuses integers beyond 32 bits by name", () => {
    const wide = one("I64", [1], bytesOf(BigInt64Array.of(2n ** 40n)));
    expect(() => tensorOf(wide, "steps")).toThrow("steps: expected integers of 32 bits, got 1099511627776");
  });

  const t = (over: object) => ({ a: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...over } });
  const huge = new Uint8Array(16).fill(255);
  it.each<[string, Uint8Array, string]>([
    ["an empty file", new Uint8Array(0), "m: header: expected 8 bytes with its length, the file has 0"],
    ["a header longer than the limit", huge, "expected at most 100000000 bytes"],
    ["a header longer than the file", fileOf("{}").subarray(0, 9), "expected 2 bytes, the file ends after 1"],
    ["another kind of file", fileOf("PK.."), 'expected "{"'],
    ["broken UTF-8", fileOf("{").fill(0xff, 8), "UTF-8"],
    ["broken JSON", fileOf('{"a":'), "valid JSON"],
    ["brackets without end", fileOf(`{"a":${"[".repeat(100_000)}`), "16 levels"],
    ["a name that appears twice", fileOf('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":1}'), '"a" twice'],
    ["a key of a tensor that appears twice", fileOf('{"a":{"dtype":"F32","dtype":"F64"}}'), '"dtype" twice'],
    ["metadata that is no text", fileOf({ __metadata__: { epoch: 3 } }), 'a string under "epoch", got number'],
    ["a tensor that is no object", fileOf({ a: 3 }), 'm: tensor "a": expected an object'],
    ["an unknown type", fileOf(t({ dtype: "F128" }), 8), 'got "F128"'],
    ["the name of a method as a type", fileOf(t({ dtype: "toString" }), 8), 'got "toString"'],
    ["a negative size", fileOf(t({ shape: [-2] }), 8), "got [-2]"],
    ["a broken size", fileOf(t({ shape: [1.5] }), 8), "got [1.5]"],
    ["a product of sizes beyond all bounds", fileOf(t({ shape: [2 ** 40, 2 ** 40] }), 8), "countless bytes"],
    ["too few bytes", fileOf(t({ shape: [3] }), 8), "expected 12 bytes for F32 [3], got 8"],
    ["offsets beyond the file", fileOf(t({ data_offsets: [0, 80] }), 8), "within the 8 bytes of data"],
    ["offsets in the wrong order", fileOf(t({ data_offsets: [8, 0] }), 8), "got [8, 0]"],
    ["a hole", fileOf(t({ data_offsets: [4, 12] }), 12), "leaves a hole"],
    ["bytes behind the last tensor", fileOf(t({}), 9), "expected 8 bytes, which the tensors need, got 9"],
    ["tensors that overlap", fileOf({ ...t({}), b: t({}).a }, 8), "overlaps"],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => readSafetensors(bytes, "m")).toThrow(DataError);
    expect(() => readSafetensors(bytes, "m")).toThrow(message);
  });

  it("keeps a tensor that is called like a property of objects", () => {
    const text = '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}';
    expect([...readSafetensors(fileOf(text, 1)).tensors.keys()]).toEqual(["__proto__"]);
  });
});
