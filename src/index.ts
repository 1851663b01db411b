// The public surface of evenkeel, by folder.

export { grad } from "./autograd/backward.js";
export { type CompiledStep, type CompileOptions, compile } from "./autograd/compile.js";
export { type GradcheckOptions, type GradcheckReport, gradcheck, gradgradcheck } from "./autograd/gradcheck.js";
export { noGrad } from "./autograd/mode.js";
export {
  BackendError,
  DataError,
  DisposedError,
  DTypeError,
  EvenkeelError,
  GradientError,
  OptionError,
  RecordingError,
  ShapeError,
  StateDictError,
  SurgeryError,
  TrainingError,
} from "./core/errors.js";
export { setWarningHandler, type WarningHandler } from "./core/warnings.js";
export * as data from "./data/index.js";
export { type InitOptions, init, memory } from "./engine/current.js";
export * as nn from "./nn/index.js";
export * as ops from "./ops/index.js";
export * as optim from "./optim/index.js";
export { full, normal, ones, type TensorOptions, tensor, uniform, zeros } from "./tensor/create.js";
export { getRandomState, manualSeed, setRandomState } from "./tensor/random.js";
export { tidy } from "./tensor/scope.js";
export { Tensor } from "./tensor/tensor.js";
