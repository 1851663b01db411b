/** "0:09", "12:30", "1:02:03". */
export function clock(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const [hours, ...rest] = parts as [number, number, number];
  const shown = hours > 0 ? [hours, ...rest] : rest;
  return shown.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

/** Time left of an arm at its mean speed since its first step; null while that is unknown. */
export function timeLeft(first: { step: number; at: number }, step: number, total: number, now: number): number | null {
  if (step <= first.step) return null;
  return ((now - first.at) / (step - first.step)) * (total - step);
}
