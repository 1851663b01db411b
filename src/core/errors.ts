/** Base of every error that evenkeel throws on purpose; `name` is the class name. */
export class EvenkeelError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A tensor's shape or size does not fit. */
export class ShapeError extends EvenkeelError {}
/** A tensor has the wrong data type. */
export class DTypeError extends EvenkeelError {}
/** An option has a value that cannot be used. */
export class OptionError extends EvenkeelError {}
/** A data set or a file is missing, damaged or out of range. */
export class DataError extends EvenkeelError {}
/** A state dictionary does not match the module it is loaded into. */
export class StateDictError extends EvenkeelError {}
/** Something that training needs is not there, such as more than one value per channel. */
export class TrainingError extends EvenkeelError {}
/** What is asked for cannot be done to this network without changing what it computes. */
export class SurgeryError extends EvenkeelError {}
/** The gradient asked for does not exist. */
export class GradientError extends EvenkeelError {}
/** A tensor or program was used after it was disposed. */
export class DisposedError extends EvenkeelError {}
/** The backend could not be started, ran out of memory or lost a worker. */
export class BackendError extends EvenkeelError {}
/** A step does what a recording cannot repeat, such as reading a value. */
export class RecordingError extends EvenkeelError {}
/** Hooks look into a step that is being recorded. It runs as it is instead, and nobody sees this error. */
export class InspectionError extends RecordingError {}
