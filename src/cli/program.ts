import { Command, CommanderError } from "commander";
import { addCompare, type CompareDependencies } from "./compare.js";
import type { CliContext } from "./context.js";
import { EXIT, errorText, oneLine, UsageError } from "./errors.js";
import { addExperiments, type ExperimentDependencies } from "./experiments.js";
import { addReport } from "./report.js";
import { addTrain } from "./train.js";

export interface CliDependencies extends CompareDependencies, ExperimentDependencies {
  readonly version: string;
}

/**
 * Runs `evenkeel` with these arguments (without node and script) and returns the exit code: 0, 1 for a failed run, 2 for
 * wrong usage, 130 after Ctrl-C. An error is one line on stderr; `--debug` adds its stack trace.
 */
export async function runCli(args: readonly string[], context: CliContext, dependencies: CliDependencies): Promise<number> {
  let code: number = EXIT.ok;
  const program = buildProgram(context, dependencies, (result) => {
    code = result;
  });
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok; // help and version
    if (error instanceof CommanderError && error.code === "commander.help") {
      program.outputHelp();
      return EXIT.ok;
    }
    const debug = args.includes("--debug");
    const usage = error instanceof UsageError || error instanceof CommanderError;
    const text = errorText(error, debug && !usage).replace(/^error: /, "");
    context.stderr.write(`evenkeel: ${text}${usage ? hint(args, program) : ""}\n`);
    return usage ? EXIT.usage : EXIT.failed;
  }
}

function buildProgram(context: CliContext, dependencies: CliDependencies, done: (code: number) => void): Command {
  const program = new Command("evenkeel");
  const columns = (output: { columns?: number | undefined }) => Math.min(output.columns || 80, 100);
  program
    .description("Batch normalization for TypeScript: train it, see it, ship it.")
    .version(dependencies.version, "--version", "print the version")
    .helpOption("--help", "print this help")
    .helpCommand(false)
    .option("--debug", "print stack traces of errors")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: () => undefined, // the error is thrown too, and printed once, on one line, by runCli
      getOutHelpWidth: () => columns(context.stdout),
      getErrHelpWidth: () => columns(context.stderr),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  addCompare(program, context, dependencies, done);
  addTrain(program, context, dependencies.version, done);
  addExperiments(program, context, dependencies, done);
  addReport(program, context, done);
  for (const command of program.commands) {
    command.option("--debug", "print stack traces of errors").helpOption("--help", "print this help");
  }
  return program;
}

function hint(args: readonly string[], program: Command): string {
  const command = program.commands.find((known) => known.name() === args[0]);
  return ` See evenkeel ${command ? `${oneLine(command.name())} ` : ""}--help.`;
}
