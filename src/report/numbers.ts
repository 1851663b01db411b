/** Numbers as people read them, the same in the terminal and on the page. A missing number is a dash. */
const DASH = "–";

export function formatLoss(loss: number | null): string {
  if (loss === null) return DASH;
  return loss !== 0 && (Math.abs(loss) < 0.01 || Math.abs(loss) >= 1000) ? loss.toPrecision(3) : loss.toFixed(3);
}

export function formatPercent(fraction: number | null): string {
  return fraction === null ? DASH : `${(100 * fraction).toFixed(2)}%`;
}

export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Three significant digits with thousands separated: a timing is not known better. */
export function formatRate(perSecond: number | null): string {
  if (perSecond === null || !Number.isFinite(perSecond)) return DASH;
  return formatCount(perSecond >= 100 ? Number(perSecond.toPrecision(3)) : perSecond);
}

export function formatCount(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}
