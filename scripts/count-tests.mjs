// Says what .ci/run found: count-tests.mjs <vitest's JSON report> <exit code of the tests> <exit code of the other checks>.
import { existsSync, readFileSync } from "node:fs";

const [path, tests, others] = process.argv.slice(2);
const report = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : { testResults: [] };

const results = report.testResults.flatMap((file) => file.assertionResults.map(({ status }) => status));
const count = (...statuses) => results.filter((status) => statuses.includes(status)).length;
/** Files that failed before or beside their tests, e.g. at an import. */
const broken = report.testResults.filter(
  (file) => file.status === "failed" && file.assertionResults.every(({ status }) => status !== "failed"),
);

const passed = count("passed");
const failed = count("failed") + broken.length;
const skipped = results.length - count("passed", "failed");

const problems = [];
if (results.length === 0) problems.push("no test ran");
if (skipped > 0) problems.push(`${skipped} tests were skipped`);
if (failed === 0 && tests !== "0") problems.push(`npm test failed with exit code ${tests}`);
if (others !== "0") problems.push("format, lint, types or the built package are not in order");
for (const problem of problems) console.log(`evenkeel: ${problem}`);
for (const file of broken) console.log(`evenkeel: ${file.name} failed outside its tests`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || problems.length > 0 ? 1 : 0;
