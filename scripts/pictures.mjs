// Makes the pictures of README and docs from real runs (needs a browser; see scripts/browser.mjs):
// `npm run pictures` runs the comparison; `node scripts/pictures.mjs experiments [folder of records]` takes full runs that are there.
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
const flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"];
const folder = mkdtempSync(join(tmpdir(), "evenkeel-pictures-"));
const report = join(folder, "report.html");
const cli = (...args) => execFileSync(process.execPath, [at("dist/cli.js"), ...args], { stdio: "inherit" });

/** Figures of the experiments' report, by id, that the docs show. */
const EXPERIMENTS = ["e9-error-mnist"];

/** Names of pictures by the place of their figure on the page. */
function pictures() {
  if (process.argv[2] === "experiments") {
    cli("report", process.argv[3] ?? "runs/experiments", "--out", report);
    return EXPERIMENTS.map((id) => ({ name: id, selector: `#${id}` }));
  }
  cli("compare", "--out", folder);
  return ["loss", "activations", "drift", "accuracy"].map((name, i) => ({
    name: `compare-${name}`,
    selector: `figure >> nth=${i}`,
  }));
}

const wanted = pictures();
const browser = await chromium.launch({ executablePath, args: flags });
for (const colorScheme of ["light", "dark"]) {
  const page = await browser.newPage({ viewport: { width: 1000, height: 900 }, deviceScaleFactor: 2, colorScheme });
  await page.goto(pathToFileURL(report).href);
  for (const { name, selector } of wanted) {
    // The drawing that this width shows, without its caption.
    const drawing = page.locator(selector).locator("svg:visible").first();
    await drawing.screenshot({ path: at(`docs/images/${name}-${colorScheme}.png`) });
  }
  await page.close();
}
await browser.close();
rmSync(folder, { recursive: true });
