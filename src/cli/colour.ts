import type { ArmName } from "../experiments/record.js";
import type { CliContext, Output } from "./context.js";

/** Colours the name of an arm, or leaves it: no colour without a terminal, with NO_COLOR (no-color.org) or TERM=dumb. */
export type Paint = (arm: ArmName, text: string) => string;

const CODES: Readonly<Record<ArmName, number>> = { plain: 34, "batch-norm": 33 };

export function painter(output: Output, env: CliContext["env"]): Paint {
  const colours = output.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
  return (arm, text) => (colours ? `\u001b[${CODES[arm]}m${text}\u001b[39m` : text);
}
