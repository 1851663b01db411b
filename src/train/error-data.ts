import * as errors from "../core/errors.js";
import type { ErrorData } from "./protocol.js";

/** A thrown value as it goes through a message. */
export function errorData(error: unknown): ErrorData {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message, stack } = error;
  return stack === undefined ? { name, message } : { name, message, stack };
}

/** The error again: of evenkeel's class where it was one, else an `Error` of that name. The stack is the worker's. */
export function errorFrom({ name, message, stack }: ErrorData): Error {
  const Class = (errors as Record<string, typeof errors.EvenkeelError | undefined>)[name];
  const error = Class === undefined ? Object.assign(new Error(message), { name }) : new Class(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
