import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const types: Record<string, string> = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

/** A page that resolves `evenkeel` as a bundler would for a browser. */
const page = `<!doctype html><meta charset="utf-8"><title>evenkeel</title><link rel="icon" href="data:,">
<script type="importmap">{"imports":{"evenkeel":"/dist/index.js","#platform":"/dist/platform-browser.js"}}</script>`;

/**
 * A file of the repository; below /bundled/, of the built package as a bundler would leave it, since an import map does not
 * reach into workers; below /incomplete/, the same without the workers' script.
 */
async function fileAt(path: string): Promise<Buffer | string> {
  const [, folder, name] = /^\/(bundled|incomplete)\/(.+)$/.exec(path) ?? [];
  if (name === undefined) return readFile(join(root, path));
  if (folder === "incomplete" && name === "worker.js") throw new Error("left out");
  const body = await readFile(join(root, "dist", name));
  if (extname(name) !== ".js") return body;
  return body.toString().replaceAll('"#platform"', '"./platform-browser.js"').replaceAll('"#data-files"', '"./data-browser.js"');
}

/** Serves the built package on 127.0.0.1; with `isolated`, pages may share memory with workers. */
export async function serve(isolated: boolean): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    if (isolated) {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    const path = normalize(new URL(request.url ?? "/", "http://127.0.0.1").pathname);
    if (path === "/") return void response.setHeader("Content-Type", "text/html").end(page);
    try {
      const body = await fileAt(path);
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
