// Makes the pictures of README and docs from a real run: `npm run pictures` (needs a browser; see scripts/browser.mjs).
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { findBrowser } from "./browser.mjs";
import { at } from "./paths.mjs";

const executablePath = findBrowser();
if (executablePath === undefined) throw new Error("no browser found: set CHROME_PATH");
const folder = mkdtempSync(join(tmpdir(), "evenkeel-pictures-"));
execFileSync(process.execPath, [at("dist/cli.js"), "compare", "--out", join(folder, "run")], { stdio: "inherit" });

const flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"];
const browser = await chromium.launch({ executablePath, args: flags });
for (const colorScheme of ["light", "dark"]) {
  const page = await browser.newPage({ viewport: { width: 1000, height: 900 }, deviceScaleFactor: 2, colorScheme });
  await page.goto(pathToFileURL(join(folder, "run/report.html")).href);
  const names = ["loss", "activations", "drift", "accuracy"];
  const figures = await page.locator("figure").all();
  for (const [i, figure] of figures.entries()) {
    // The drawing that this width shows, without its caption.
    const drawing = figure.locator("svg:visible").first();
    await drawing.screenshot({ path: at(`docs/images/compare-${names[i]}-${colorScheme}.png`) });
  }
  await page.close();
}
await browser.close();
rmSync(folder, { recursive: true });
