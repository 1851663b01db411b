import type { Module } from "./module.js";

/** Whether the module is of this class and of none derived from it, whose `forward` may be another. */
export function isExactly<T extends Module>(module: Module | undefined, type: new (...args: never[]) => T): module is T {
  return module !== undefined && Object.getPrototypeOf(module) === type.prototype;
}
