import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type UserConfig } from "tsdown";

/** Entries of the library, by the name of the file in dist/; package.json exports them. */
const library: Record<string, string> = {
  index: "src/index.ts",
  train: "src/train/index.ts",
  "train-worker": "src/train/worker.ts",
  instruments: "src/instruments/index.ts",
  surgery: "src/surgery/index.ts",
  experiments: "src/experiments/index.ts",
  charts: "src/charts/index.ts",
  io: "src/io/index.ts",
  "io-node": "src/io/node.ts",
  "platform-node": "src/engine/wasm/platform-node.ts",
  "platform-browser": "src/engine/wasm/platform-browser.ts",
  "data-node": "src/data/node.ts",
  "data-browser": "src/data/browser.ts",
};

const present = (entries: Record<string, string>) =>
  Object.fromEntries(Object.entries(entries).filter(([, path]) => existsSync(path)));

/**
 * What the main entry is made of goes into one file, which packs better than many and is one request. Not the types, which
 * pass through the same bundler; not the errors, which the files that the core imports throw as well.
 */
const isCore = (id: string) =>
  /\/src\/(core|tensor|autograd|ops|nn|optim|data|engine)\//.test(id) &&
  !/\.d\.ts$|-node\.ts$|\/data\/(node|browser|mnist-catalog|netpbm)\.ts$|core\/errors\.ts$|wasm\/platform|engine\/reference/.test(
    id,
  );

const shared: UserConfig = {
  format: "esm",
  target: "es2023",
  outDir: "dist",
  // Both builds write to dist/; scripts/build.mjs empties it.
  clean: false,
  fixedExtension: false,
  sourcemap: false,
  report: false,
  failOnWarn: false,
  // Names of classes stay, because printing and messages use them; those of functions are in the library's source maps.
  minify: {
    compress: { keepNames: { class: true, function: false } },
    mangle: { keepNames: { class: true, function: false } },
    codegen: true,
  },
};

/** What needs a bundler's freedom (`#platform`, `#data-files`) stays an import; packages are bundled, since evenkeel has no dependency. */
const libraryBuild: UserConfig = {
  ...shared,
  name: "library",
  sourcemap: true,
  entry: present(library),
  platform: "neutral",
  dts: true,
  deps: { neverBundle: ["#platform", "#data-files", "fast-png", /^node:/], onlyBundle: false },
  inputOptions: { resolve: { mainFields: ["module", "main"], conditionNames: ["import", "default"] } },
  // Chunks lie beside the entries: platform-*.js finds kernels.wasm and worker.js by `new URL("./…", import.meta.url)`.
  outputOptions: {
    chunkFileNames: "[name]-[hash].js",
    codeSplitting: {
      groups: [
        { name: "errors", test: /core\/errors\.ts$/, priority: 1 },
        { name: "core", test: isCore },
      ],
    },
  },
  copy: ["kernels.wasm", "kernels-relaxed.wasm", "worker.js"].map((name) => `src/engine/wasm/${name}`).filter(existsSync),
};

/**
 * The minifier joins strings and spoils lone surrogates in them, of which temml makes a regular expression: there they can stand
 * as escapes as well.
 */
const escapedSurrogates = {
  name: "escaped-surrogates",
  transform(code: string, id: string) {
    if (!/\/temml\/dist\/temml\.mjs$/.test(id)) return null;
    const [lone, escaped] = ["[\\uD800-\\uDBFF][\\uDC00-\\uDFFF]", "[\\\\uD800-\\\\uDBFF][\\\\uDC00-\\\\uDFFF]"];
    if (!code.includes(lone)) throw new Error("temml has changed: is escapedSurrogates still needed?");
    return code.replaceAll(lone, escaped);
  },
};

/** The command line is complete in itself: it has its own copy of the library, so errors have one identity. */
const cliBuild: UserConfig = {
  ...shared,
  plugins: [escapedSurrogates],
  name: "cli",
  entry: present({ cli: "src/cli/main.ts", "cli-worker": "src/cli/experiment-worker.ts" }),
  platform: "node",
  dts: false,
  alias: {
    "#platform": fileURLToPath(new URL("src/engine/wasm/platform-node.ts", import.meta.url)),
    "#data-files": fileURLToPath(new URL("src/data/node.ts", import.meta.url)),
  },
  deps: { neverBundle: [/^node:/], onlyBundle: false },
  outputOptions: { chunkFileNames: "cli-[name]-[hash].js" },
};

export default defineConfig([libraryBuild, cliBuild].filter(({ entry }) => Object.keys(entry as object).length > 0));
