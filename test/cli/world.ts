import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CliContext, Interrupt } from "../../src/cli/context.js";
import { type CliDependencies, runCli } from "../../src/cli/program.js";
import { ARM_NAMES, type CompareEvent, type RunCompare } from "../../src/experiments/record.js";
import { renderCompareReport } from "../../src/report/compare-report.js";
import { fakeRecord } from "../report/fake-record.js";

/** A stand-in for the process: output is kept as text, interrupts come when told, the clock moves when told. */
export interface World {
  readonly context: CliContext;
  readonly folder: string;
  readonly exits: number[];
  time: number;
  out(): string;
  err(): string;
  interrupt(signal?: Interrupt): void;
  listeners(): number;
  remove(): void;
}

export function makeWorld(options: { tty?: boolean; columns?: number; env?: Record<string, string> } = {}): World {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-cli-"));
  const text = { out: "", err: "" };
  const listeners = new Set<(signal: Interrupt) => void>();
  const exits: number[] = [];
  // Only what a terminal stream needs for the bars: write, size and whether it is a terminal.
  const output = (key: "out" | "err") => ({
    isTTY: options.tty ?? false,
    columns: options.columns ?? 100,
    write: (piece: string) => {
      text[key] += piece;
      return true;
    },
    on: () => undefined,
  });
  const world: World = {
    folder,
    exits,
    time: Date.UTC(2026, 2, 1, 10),
    out: () => text.out,
    err: () => text.err,
    interrupt: (signal = "SIGINT") => {
      for (const listener of listeners) listener(signal);
    },
    listeners: () => listeners.size,
    remove: () => rmSync(folder, { recursive: true, force: true }),
    context: {
      stdout: output("out"),
      stderr: output("err"),
      env: options.env ?? {},
      cwd: folder,
      now: () => world.time,
      onInterrupt: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      exit: (code) => void exits.push(code),
    },
  };
  return world;
}

/** A run that sends the events of a real one, then gives the synthetic record; an abort cuts it after the next step. */
export function fakeRun(world: World, during: (event: CompareEvent) => void = () => undefined): RunCompare {
  return async (config, { onEvent, signal }) => {
    const whole = { ...fakeRecord({ epochs: config.epochs }), config };
    const { stepsPerEpoch, data } = whole;
    const totalSteps = config.epochs * stepsPerEpoch;
    const send = (event: CompareEvent) => {
      onEvent?.(event);
      during(event);
    };
    send({ type: "start", epochs: config.epochs, stepsPerEpoch, totalSteps, data });
    for (let step = 1; step <= totalSteps; step++) {
      if (signal?.aborted) return { ...fakeRecord({ epochs: config.epochs, stopAt: step - 1 }), config };
      const losses = { plain: whole.arms[0]?.losses[step - 1] ?? null, "batch-norm": whole.arms[1]?.losses[step - 1] ?? null };
      for (const arm of ARM_NAMES) {
        world.time += 5;
        const samplesPerSecond = { plain: 73100, "batch-norm": 56200 };
        send({ type: "step", arm, epoch: Math.ceil(step / stepsPerEpoch), step, totalSteps, losses, samplesPerSecond });
      }
      if (step % stepsPerEpoch !== 0) continue;
      for (const arm of whole.arms) {
        const result = arm.epochs[step / stepsPerEpoch - 1];
        if (result) send({ type: "epoch", arm: arm.name, ...result });
      }
    }
    return whole;
  };
}

export function run(world: World, args: readonly string[], changes: Partial<CliDependencies> = {}): Promise<number> {
  return runCli(args, world.context, {
    version: "1.2.3",
    loadRun: async () => fakeRun(world),
    loadReport: async () => renderCompareReport,
    startWorkers: async () => {
      throw new Error("no threads here");
    },
    ...changes,
  });
}
