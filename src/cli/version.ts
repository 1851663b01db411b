import { readFileSync } from "node:fs";

/** The version in the package's own package.json, found upwards from this file: sources and bundle lie at different depths. */
export function packageVersion(): string {
  for (let folder = new URL(".", import.meta.url); ; folder = new URL("..", folder)) {
    const found = readPackage(new URL("package.json", folder));
    if (found?.name === "evenkeel") return found.version;
    if (folder.href === new URL("..", folder).href) return "unknown";
  }
}

function readPackage(url: URL): { name: string; version: string } | undefined {
  try {
    return JSON.parse(readFileSync(url, "utf8")) as { name: string; version: string };
  } catch {
    return undefined; // none in this folder
  }
}
