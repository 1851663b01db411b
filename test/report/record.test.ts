import { describe, expect, test } from "vitest";
import { DataError } from "../../src/core/errors.js";
import { type CompareRecord, finiteOrNull, parseRecord, stringifyRecord } from "../../src/experiments/record.js";
import { fakeRecord } from "./fake-record.js";

const record = fakeRecord({ epochs: 2 });
const json = stringifyRecord(record);

function broken(change: (copy: CompareRecord & Record<string, unknown>) => void): string {
  const copy = structuredClone(record) as CompareRecord & Record<string, unknown>;
  change(copy);
  return JSON.stringify(copy);
}

function refusal(text: string): string {
  try {
    parseRecord(text);
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return (error as Error).message;
  }
  throw new Error("the record was accepted");
}

describe("a record", () => {
  test("survives a round trip: losses bit for bit as float32, the rest within 1e-8 relative", () => {
    const back = parseRecord(json);
    expect(back.arms.map((arm) => arm.losses.map((x) => Math.fround(x ?? 0)))).toEqual(record.arms.map((arm) => arm.losses));
    const mean = (r: CompareRecord) => r.arms[1]?.snapshots.at(-1)?.after?.mean ?? Number.NaN;
    expect(Math.abs(mean(back) / mean(record) - 1)).toBeLessThan(1e-8);
    expect(back.config).toEqual(record.config);
  });

  test("is written the same again after it was read", () => {
    expect(stringifyRecord(parseRecord(json))).toBe(json);
  });

  test("keeps divergence as null", () => {
    const diverged = fakeRecord({ epochs: 2, divergeAt: 50 });
    const back = parseRecord(stringifyRecord(diverged));
    expect(back.arms[0]?.losses.indexOf(null)).toBe(49);
    expect(back.arms[0]?.snapshots.at(-1)?.before.histogram.nonFinite).toBe(64 * 160);
    expect([finiteOrNull(Number.NaN), finiteOrNull(Number.NEGATIVE_INFINITY), finiteOrNull(0)]).toEqual([null, null, 0]);
  });

  test("has lists of numbers on one line and large whole numbers exact", () => {
    const text = stringifyRecord({ ...record, config: { ...record.config, seed: 4294967295 } });
    expect(text).toContain('"hidden": [64,128]');
    expect(text).toContain('"seed": 4294967295');
    expect(text.split("\n").length).toBeLessThan(2000);
  });

  test("leaves text that looks like a list alone", () => {
    const text = stringifyRecord({ ...record, data: { ...record.data, source: "[\n 1,\n 2\n]" } });
    expect(parseRecord(text).data.source).toBe("[\n 1,\n 2\n]");
  });
});

describe("parseRecord refuses", () => {
  test("text that is cut off", () => {
    expect(refusal(json.slice(0, 500))).toMatch(/^Record: expected JSON, got text that does not parse .*cut off\.$/);
  });

  test("JSON that is no record", () => {
    expect(refusal("[1]")).toContain("expected a JSON object");
    expect(refusal("{}")).toContain('expected kind "compare", got none');
  });

  test("another schema version, by its number", () => {
    expect(refusal(broken((copy) => Object.assign(copy, { schemaVersion: 2 })))).toBe(
      "Record: expected schemaVersion 1, got 2. Read it with the evenkeel that wrote it.",
    );
  });

  test("a broken value, by its place and on one line", () => {
    const text = refusal(broken((copy) => Object.assign(copy.arms[1] as object, { losses: [1, "x"] })));
    expect(text).toContain("broken at arms.1.losses.1");
    expect(text).not.toContain("\n");
  });

  test("arms in another order, unknown fields, and histograms that do not add up", () => {
    expect(refusal(broken((copy) => void copy.arms.reverse()))).toContain("in this order");
    expect(refusal(broken((copy) => Object.assign(copy, { extra: 1 })))).toContain("extra");
    expect(refusal(broken((copy) => void copy.arms[0]?.snapshots[0]?.before.histogram.edges.pop()))).toContain("one more edge");
    expect(refusal(broken((copy) => void copy.arms[0]?.snapshots[0]?.before.units.p50.pop()))).toContain("lists of one length");
  });

  test("to be written with NaN in it", () => {
    expect(() => stringifyRecord({ ...record, config: { ...record.config, lr: Number.NaN } })).toThrow(/broken at config\.lr/);
  });
});
