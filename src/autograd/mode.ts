let recording = true;

/** Whether ops record how their results were computed. */
export function isRecording(): boolean {
  return recording;
}

/** Runs `fn` with recording on or off. */
export function withRecording<T>(on: boolean, fn: () => T): T {
  const previous = recording;
  recording = on;
  try {
    return fn();
  } finally {
    recording = previous;
  }
}

/** Runs `fn` without recording: what it computes has no gradient and keeps nothing for a backward pass. */
export function noGrad<T>(fn: () => T): T {
  return withRecording(false, fn);
}
