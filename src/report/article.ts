import { meanOrNull } from "../charts/series.js";
import type { CompareRecord } from "../experiments/record.js";

/**
 * Training losses that the notebook of "Understanding Batch Normalization for Neural Networks" (Towards Data Science,
 * 2020) printed: the mean over batches 41 to 80 of an epoch of 118. Its scale γ started at U[0, 1] instead of 1, and it had no seed.
 */
const ARTICLE_LOSSES = [
  { epoch: 1, plain: 2.292, norm: 1.734 },
  { epoch: 5, plain: 1.836, norm: 0.477 },
  { epoch: 10, plain: 0.679, norm: 0.271 },
  { epoch: 20, plain: 0.395, norm: 0.162 },
] as const;

const FIRST_BATCH = 41;
const LAST_BATCH = 80;

export interface ArticleRow {
  readonly epoch: number;
  readonly article: { readonly plain: number; readonly norm: number };
  readonly here: { readonly plain: number | null; readonly norm: number | null };
}

/** The article's settings, as far as they decide a loss at a given epoch. */
export function repeatsArticle({ config, data, stepsPerEpoch }: CompareRecord): boolean {
  return (
    config.data === "mnist" &&
    !data.sample &&
    config.lr === 0.01 &&
    config.batch === 512 &&
    stepsPerEpoch === 118 &&
    config.activation === "relu" &&
    config.hidden.join() === "64,128"
  );
}

/** The article's losses beside this run's, over the same batches; empty if the settings differ. */
export function articleRows(record: CompareRecord): ArticleRow[] {
  if (!repeatsArticle(record)) return [];
  return ARTICLE_LOSSES.flatMap(({ epoch, plain, norm }) => {
    const start = (epoch - 1) * record.stepsPerEpoch;
    const [first, second] = record.arms.map((arm) => arm.losses.slice(start + FIRST_BATCH - 1, start + LAST_BATCH));
    if (!first || !second || Math.min(first.length, second.length) < LAST_BATCH - FIRST_BATCH + 1) return [];
    return [{ epoch, article: { plain, norm }, here: { plain: meanOrNull(first), norm: meanOrNull(second) } }];
  });
}
