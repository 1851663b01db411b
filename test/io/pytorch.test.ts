import { describe, expect, it } from "vitest";
import { DataError } from "../../src/core/errors.js";
import { readPt } from "../../src/io/pytorch.js";
import { valuesOf } from "../../src/io/stored.js";
import { crc32 } from "../../src/io/zip.js";
import { pytorchFile, pytorchJson } from "../fixtures/pytorch-network.js";

const read = (name: string) => readPt(pytorchFile(name), name);
const numbers = (name: string) => new Map([...read(name).tensors].map(([key, t]) => [key, [...valuesOf(t)]]));

describe("readPt", () => {
  it("reads every type of values that PyTorch writes, exactly", () => {
    const all = numbers("types.pt");
    expect(all.size).toBe(14);
    for (const [kind, values] of all) expect([kind, values]).toEqual([kind, kind === "bool" ? [0, 1, 1, 1] : [0, 1, 2, 3]]);
    expect(read("types.pt").tensors.get("bfloat16")!.dtype).toBe("BF16");
  });

  it("reads views of shared memory, transposed, strided, empty and channels-last, in row-major order", () => {
    const expected = pytorchJson("views.json") as Record<string, { shape: number[]; values: number[] }>;
    const { tensors } = read("views.pt");
    expect([...tensors.keys()]).toEqual(Object.keys(expected));
    for (const [key, { shape, values }] of Object.entries(expected)) {
      expect({ key, shape: tensors.get(key)!.shape, values: [...valuesOf(tensors.get(key)!)] }).toEqual({ key, shape, values });
    }
  });

  it("finds the state dictionary in a checkpoint and says under which key", () => {
    expect(read("wrapped.pt").metadata).toEqual({ "pytorch.key": "state_dict" });
    expect(numbers("wrapped.pt")).toEqual(new Map([["weight", [1, 2]]]));
  });

  it.each(["protocol4.pt", "no-checksums.pt"])("reads %s", (name) => {
    expect(numbers(name)).toEqual(new Map([["weight", [1, 2]]]));
  });

  it.each([
    ["evil.pt", /evil\.pt: data\.pkl: byte \d+: expected only .* got "(posix|nt)\.system", which is not loaded/],
    ["whole-module.pt", /got "torch\.nn\.modules\.linear\.Linear", which is not loaded/],
    ["legacy.pt", /expected the format of PyTorch 1\.6 or later.*Load and save it/],
    ["script.pt", /TorchScript module; save its state_dict/],
    ["deflated.pt", /entry "bomb\/data\.pkl": expected data without compression/],
    ["unknown-key.pt", /got no tensors under the keys a, b/],
  ])("refuses %s by name, with what is wrong", (name, message) => {
    expect(() => read(name)).toThrow(DataError);
    expect(() => read(name)).toThrow(message);
  });

  it("notices damage in the values by the archive's checksums", () => {
    const bytes = pytorchFile("network.pt");
    const { tensors } = readPt(bytes);
    const [first] = tensors.values();
    first!.bytes[0]! ^= 1; // a view into the file
    expect(() => readPt(bytes, "x.pt")).toThrow(/x\.pt: entry "network\/data\/\d+": .*damaged/);
  });

  it("notices a file that was cut off, wherever", () => {
    const bytes = pytorchFile("network.pt");
    for (let end = 0; end < bytes.length; end += 97) expect(() => readPt(bytes.subarray(0, end), "x.pt")).toThrow(DataError);
  });

  it("computes the checksum that the specification gives for 123456789", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
  });
});
