import { ARM_LABELS } from "../charts/theme.js";
import type { CompareRecord } from "../experiments/record.js";
import { formatLoss, formatPercent, formatRate, formatSeconds } from "../report/numbers.js";
import { summarize } from "../report/summary.js";

/** Lines of a table: columns of words to the left (default: the first), those of numbers to the right, two spaces between. */
export function formatTable(rows: readonly (readonly string[])[], words: readonly number[] = [0]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (words.includes(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

/** The result of both arms, as the report's table has it. */
export function resultLines(record: CompareRecord): string[] {
  const { plain, norm } = summarize(record);
  const rows = [plain, norm].map((arm) => [
    ARM_LABELS[arm.name],
    arm.finalLoss === null && arm.divergedAt !== null ? `diverged at ${arm.divergedAt}` : formatLoss(arm.finalLoss),
    formatPercent(arm.testAccuracy),
    formatSeconds(arm.trainSeconds),
    formatRate(arm.samplesPerSecond),
  ]);
  return formatTable([["", "training loss", "test accuracy", "time", "images/s"], ...rows]);
}
