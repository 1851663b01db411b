/** Experiments: the subpath `evenkeel/experiments`. */
export { type CompareInputs, runCompare } from "./compare.js";
export {
  ACTIVATIONS,
  type Activation,
  ARM_NAMES,
  type ArmName,
  type ArmRecord,
  type CompareEvent,
  type CompareHooks,
  type CompareOptions,
  type CompareRecord,
  DATA_SETS,
  type Distribution,
  type EpochResult,
  parseRecord,
  type RunCompare,
  type Snapshot,
  stringifyRecord,
} from "./record.js";
