import { afterAll, describe, expect, test } from "vitest";
import { findOnnxCases, NO_ONNX_CASES, onnxCasesRequired, onnxCasesVersion } from "../../scripts/onnx-cases.mjs";
import { startTargets } from "../fixtures/compare.js";
import { DEFECTS, LISTED_VERSION, NOT_APPLICABLE, RUN_OF_LISTED } from "./onnx-listed.js";
import { type Outcome, type Outcomes, runAll } from "./onnx-outcomes.js";

/** Of an output, relative to the largest of its values. ONNX's own runner allows 1e-3 of each value. */
const TOLERANCE = 1e-5;

const root = findOnnxCases();
const targets = await startTargets();
const outcomes: Outcomes = root ? runAll(root, targets, TOLERANCE, DEFECTS) : { byName: new Map(), others: 0 };
for (const { backend } of targets) backend.dispose();

/** The list is of one version; others have further cases, which may be not applicable for the reasons of the list. */
const isListed = onnxCasesVersion() === LISTED_VERSION;

const isRun = (outcome: Outcome) => "problems" in outcome;
const run = [...outcomes.byName].filter(([, outcome]) => isRun(outcome));
const notRun = [...outcomes.byName].flatMap(([name, outcome]) => ("reason" in outcome ? [{ name, reason: outcome.reason }] : []));

/** Names by reason, sorted. */
function byReason(list: readonly { name: string; reason: string }[]): Record<string, string[]> {
  const groups: Record<string, string[]> = {};
  for (const { name, reason } of list) groups[reason] = [...(groups[reason] ?? []), name];
  return groups;
}

afterAll(() => {
  if (root === undefined) {
    console.warn(NO_ONNX_CASES);
    return;
  }
  const lines = Object.entries(byReason(notRun)).map(([reason, names]) => `  ${reason}: ${names.join(", ")}`);
  const counts = `ONNX: ${run.length} cases run, ${notRun.length} not applicable`;
  console.log(`${counts} (${outcomes.others} more are of operators that evenkeel does not have)\n${lines.join("\n")}`);
});

test("ONNX's own cases are there wherever they can be installed, and on the Linux of a CI service", () => {
  expect(root !== undefined || !onnxCasesRequired(), NO_ONNX_CASES).toBe(true);
});

if (root !== undefined) {
  describe(`ONNX's own cases, on both backends, within ${TOLERANCE} of the largest value of an output`, () => {
    for (const [name, outcome] of run) {
      test(name, () => expect("problems" in outcome && outcome.problems).toEqual([]));
    }

    test(`are at least ${RUN_OF_LISTED}`, () => {
      expect(run.length).toBeGreaterThanOrEqual(RUN_OF_LISTED);
    });

    test("are all run but those that are listed with their reason", () => {
      const expected = Object.entries(NOT_APPLICABLE).flatMap(([reason, names]) => names.map((name) => ({ name, reason })));
      if (isListed) {
        expect(byReason(notRun)).toEqual(byReason(expected));
        return;
      }
      const unlisted = notRun.filter(({ name, reason }) => !NOT_APPLICABLE[reason]?.includes(name));
      const unknown = unlisted.filter(({ name, reason }) => expected.some((e) => e.name === name) || !isReason(reason));
      expect(unknown).toEqual([]);
    });
  });
}

/** Whether a reason is one of the list's; an operator that is missing is always one. */
function isReason(reason: string): boolean {
  return reason in NOT_APPLICABLE || reason.startsWith("needs ") || / data$/.test(reason);
}
