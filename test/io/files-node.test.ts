import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DataError } from "../../src/core/errors.js";
import { loadStored, readStateFile, saveSafetensors } from "../../src/io/node.js";
import * as nn from "../../src/nn/index.js";
import { pytorchFile } from "../fixtures/pytorch-network.js";

const folder = await mkdtemp(join(tmpdir(), "evenkeel-io-"));
afterAll(() => rm(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

describe("files of weights", () => {
  it("are saved and read again with the same values, and nothing else is left in the folder", async () => {
    const [a, b] = [new nn.Linear(3, 2), new nn.Linear(3, 2)];
    await saveSafetensors(at("a.safetensors"), a);
    loadStored(b, await readStateFile(at("a.safetensors")));
    expect([...b.weight.data()]).toEqual([...a.weight.data()]);
    expect(await readdir(folder)).toEqual(["a.safetensors"]);
  });

  it("are known by their content, whatever they are called", async () => {
    await writeFile(at("x.safetensors"), pytorchFile("wrapped.pt"));
    expect([...(await readStateFile(at("x.safetensors"))).tensors.keys()]).toEqual(["weight"]);
  });

  it("that cannot be written leave the old file as it was", async () => {
    await writeFile(at("old.safetensors"), "old");
    const bad = new Map([["__metadata__", new nn.Linear(1, 1).weight]]);
    await expect(saveSafetensors(at("old.safetensors"), bad)).rejects.toThrow(DataError);
    await expect(saveSafetensors(at("none/old.safetensors"), new nn.Linear(1, 1))).rejects.toThrow(/could not write .*ENOENT/);
    expect(await readFile(at("old.safetensors"), "utf8")).toBe("old");
  });

  it("that are not there are named", async () => {
    await expect(readStateFile(at("nothing.pt"))).rejects.toThrow(/nothing\.pt: could not read .*ENOENT/);
  });
});
