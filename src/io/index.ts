/** Exchange of trained networks: the subpath `evenkeel/io`. */
export { type Adapted, type AdaptOptions, adaptState, type Convention, loadStored } from "./adapt-state.js";
export { isPt, readPt } from "./pytorch.js";
export { readSafetensors, writeSafetensors } from "./safetensors.js";
export { type StoredDType, type StoredState, type StoredTensor, storedOf, storedState, tensorOf, valuesOf } from "./stored.js";
