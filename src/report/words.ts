import { ARM_LABELS } from "../charts/theme.js";
import type { CompareRecord } from "../experiments/record.js";
import { repeatsArticle } from "./article.js";
import { type Html, html } from "./html.js";
import { formatCount, formatLoss, formatPercent } from "./numbers.js";
import { type ArmSummary, summarize } from "./summary.js";

export const DATA_NAMES = { mnist: "MNIST", fashion: "Fashion-MNIST" } as const;

/** "20 epochs", "1 epoch", "37 steps": how much was trained. */
export function trainedWords(record: CompareRecord): string {
  const steps = Math.max(...record.arms.map((arm) => arm.losses.length));
  const epochs = steps / record.stepsPerEpoch;
  const [many, unit] = steps > 0 && Number.isInteger(epochs) ? [epochs, "epoch"] : [steps, "step"];
  return `${formatCount(many)} ${unit}${many === 1 ? "" : "s"}`;
}

/** The page's title: what was measured, with its numbers and no verdict. */
export function headline(record: CompareRecord): string {
  const { plain, norm } = summarize(record);
  if (plain.steps + norm.steps === 0) return "Interrupted before the first training step";
  return `Training loss after ${trainedWords(record)}: ${lossWords(norm)} with batch normalization, ${lossWords(plain)} without`;
}

function lossWords(arm: ArmSummary): string {
  return arm.finalLoss === null ? "not finite" : formatLoss(arm.finalLoss);
}

/** One sentence on the test set, if it was measured. */
export function accuracySentence(record: CompareRecord): string {
  const { plain, norm } = summarize(record);
  if (plain.testAccuracy === null || norm.testAccuracy === null) return "The test set was not evaluated.";
  const count = formatCount(record.data.testImages);
  return (
    `On the ${count} test images, in evaluation mode, the network with batch normalization gets ` +
    `${formatPercent(norm.testAccuracy)} right and the one without ${formatPercent(plain.testAccuracy)}.`
  );
}

/** What a reader must know before reading any number: the sample, an interruption, divergence. */
export function notices(record: CompareRecord): Html[] {
  const { plain, norm } = summarize(record);
  const list: Html[] = [];
  if (record.data.sample) {
    const counts = `${formatCount(record.data.trainImages)} training and ${formatCount(record.data.testImages)} test images`;
    list.push(
      notice(
        "Small sample, not the full data set",
        `This run used ${counts} instead of 60,000 and 10,000. Its losses and accuracies cannot be compared with those of full runs.`,
      ),
    );
  }
  if (record.interrupted) {
    const steps = record.config.epochs * record.stepsPerEpoch;
    const done = `${formatCount(Math.max(plain.steps, norm.steps))} of ${formatCount(steps)} steps`;
    list.push(notice("Interrupted", `The run was stopped after ${done}. Everything here describes what was done until then.`));
  }
  for (const arm of [plain, norm]) {
    if (arm.divergedAt === null) continue;
    list.push(
      notice(
        `The ${ARM_LABELS[arm.name]} network diverged`,
        `Its training loss was first NaN or infinite at step ${formatCount(arm.divergedAt)}. ` +
          "Losses, activations and accuracies from there on say nothing else.",
      ),
    );
  }
  return list;
}

function notice(title: string, text: string): Html {
  return html`<div class="notice" role="note"><strong>${title}</strong> ${text}</div>`;
}

/** What the run does not support, most important first. */
export function limits(record: CompareRecord): Html[] {
  const { lr, seed } = record.config;
  const list = [
    html`<li><strong>One run each (n = 1, seed ${seed}).</strong> Nothing here tells how much the numbers move from seed to seed.</li>`,
  ];
  const untuned = html`<strong>The learning rate was not tuned.</strong>`;
  const diverged = record.arms.some((arm) => arm.losses.includes(null));
  if (repeatsArticle(record) && !diverged) {
    list.push(html`<li>${untuned} ${lr} is the article’s value, given to both networks. It is low for the plain one, which starts on a
      plateau. Take most of the gap as the learning rate’s, until a plain network with its own best rate is run beside it (experiment E0).</li>`);
  } else {
    list.push(html`<li>${untuned} Both networks got ${lr}. A gap at one learning rate is not the gap between the best of each
      (experiment E0 measures that).</li>`);
  }
  list.push(html`<li><strong>Steps, not seconds.</strong> ${costWords(record)}</li>`);
  return list;
}

function costWords(record: CompareRecord): string {
  const { plain, norm } = summarize(record);
  const base = "The figures compare the networks step by step.";
  if (plain.steps !== norm.steps || !(plain.trainSeconds > 0)) return base;
  return `${base} In time, a step with batch normalization took ${(norm.trainSeconds / plain.trainSeconds).toFixed(2)} times as long here.`;
}
