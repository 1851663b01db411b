// Decides whether something built is still up to date: by the contents of what it was built from, not by file times.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { at, root } from "./paths.mjs";

function* filesOf(path) {
  if (!existsSync(path)) return;
  if (!statSync(path).isDirectory()) {
    yield path;
    return;
  }
  for (const name of readdirSync(path).sort()) yield* filesOf(join(path, name));
}

/** A hash of the names and contents of files and folders of the repository. `skip` gets each path, with "/" in it. */
export function hashOf(paths, skip = () => false) {
  const hash = createHash("sha256");
  for (const path of paths) {
    for (const file of filesOf(at(path))) {
      const name = relative(root, file).replaceAll("\\", "/");
      if (!skip(name)) hash.update(`${name}\0`).update(readFileSync(file)).update("\0");
    }
  }
  return hash.digest("hex");
}

const stampOf = (name) => at("build", `${name}.stamp`);

/** Whether `name` was last built from `hash`, and all it made is still there. */
export function isFresh(name, hash) {
  try {
    const stamp = JSON.parse(readFileSync(stampOf(name), "utf8"));
    return stamp.hash === hash && stamp.outputs.every((path) => existsSync(at(path)));
  } catch {
    return false;
  }
}

export function markFresh(name, hash, outputs) {
  mkdirSync(dirname(stampOf(name)), { recursive: true });
  writeFileSync(stampOf(name), JSON.stringify({ hash, outputs }));
}
