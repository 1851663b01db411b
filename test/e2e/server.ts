import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const types: Record<string, string> = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

/** Where a bundler for a browser would find what these names stand for. */
const modules = {
  evenkeel: "/dist/index.js",
  "evenkeel/train": "/dist/train.js",
  "#platform": "/dist/platform-browser.js",
  "#data-files": "/dist/data-browser.js",
};

const page = `<!doctype html><meta charset="utf-8"><title>evenkeel</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports: modules })}</script>`;

/** Workers have no import map, so names are resolved in what is served: to files of the same folder. */
function resolved(script: string, folder = "dist"): string {
  return Object.entries(modules).reduce(
    (text, [name, path]) =>
      text.replace(new RegExp(`\\b((?:from|import)\\s*\\(?\\s*)"${name}"`, "g"), `$1"${path.replace("dist", folder)}"`),
    script,
  );
}

/**
 * Serves the built package on 127.0.0.1; with `isolated`, pages may share memory with workers.
 *
 * @param files further paths: the text of a script, or the path of a file in the repository
 */
export async function serve(
  isolated: boolean,
  files: Readonly<Record<string, { script: string } | { file: string }>> = {},
): Promise<{ url: string; close(): Promise<void> }> {
  const read = async (path: string): Promise<string | Buffer> => {
    const own = files[path];
    if (own && "script" in own) return resolved(own.script);
    // The built package once more, below /bundled/, and below /incomplete/ without the workers' script.
    const [, folder = "dist", name] = /^\/(bundled|incomplete)\/(.+)$/.exec(path) ?? [];
    if (folder === "incomplete" && name === "worker.js") throw new Error("left out");
    const body = await readFile(join(root, own?.file ?? (name === undefined ? path : `dist/${name}`)));
    return extname(path) === ".js" ? resolved(body.toString(), folder) : body;
  };
  const server = createServer(async (request, response) => {
    if (isolated) {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    const path = normalize(new URL(request.url ?? "/", "http://127.0.0.1").pathname);
    if (path === "/") return void response.setHeader("Content-Type", "text/html").end(page);
    try {
      const body = await read(path);
      response.setHeader("Content-Type", types[extname(path)] ?? "application/octet-stream").end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
