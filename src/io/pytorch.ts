import { DataError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { PickleGlobal, type PickleValue, type PickleWorld, readPickle } from "./pickle.js";
import { BYTES_PER_VALUE, countOf, type StoredDType, type StoredState, type StoredTensor } from "./stored.js";
import { readStoredZip } from "./zip.js";

/** Types of PyTorch's storages and values, by name. */
const STORAGES: Readonly<Record<string, StoredDType>> = {
  "torch.DoubleStorage": "F64",
  "torch.FloatStorage": "F32",
  "torch.HalfStorage": "F16",
  "torch.BFloat16Storage": "BF16",
  "torch.LongStorage": "I64",
  "torch.IntStorage": "I32",
  "torch.ShortStorage": "I16",
  "torch.CharStorage": "I8",
  "torch.ByteStorage": "U8",
  "torch.BoolStorage": "BOOL",
};
const DTYPES: Readonly<Record<string, StoredDType>> = {
  "torch.float64": "F64",
  "torch.float32": "F32",
  "torch.float16": "F16",
  "torch.bfloat16": "BF16",
  "torch.float8_e4m3fn": "F8_E4M3",
  "torch.float8_e5m2": "F8_E5M2",
  "torch.int64": "I64",
  "torch.int32": "I32",
  "torch.int16": "I16",
  "torch.int8": "I8",
  "torch.uint64": "U64",
  "torch.uint32": "U32",
  "torch.uint16": "U16",
  "torch.uint8": "U8",
  "torch.bool": "BOOL",
};
const UNTYPED = "torch.storage.UntypedStorage";
const FUNCTIONS = [
  "collections.OrderedDict",
  "torch.Size",
  "torch._utils._rebuild_tensor_v2",
  "torch._utils._rebuild_tensor_v3",
  "torch._utils._rebuild_parameter",
];
/** Keys under which training scripts keep the state dictionary beside other things. */
const WRAPPERS = ["state_dict", "model_state_dict", "model", "net", "network", "weights", "params"];

/** Values in one piece of memory, in which tensors lie. */
class Storage {
  constructor(
    readonly dtype: StoredDType | null,
    readonly bytes: Uint8Array,
  ) {}
}

class TorchTensor {
  constructor(readonly stored: StoredTensor) {}
}

const isCount = (value: PickleValue | undefined): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCounts = (value: PickleValue | undefined): value is number[] => Array.isArray(value) && value.every(isCount);

/** What a pickle of PyTorch may name, and what that makes. */
class TorchWorld implements PickleWorld {
  constructor(
    private readonly file: string,
    private readonly entry: (name: string) => Uint8Array | undefined,
  ) {}

  private fail(what: string): never {
    throw new DataError(`${this.file}: ${what}`);
  }

  knows(name: string): boolean {
    return FUNCTIONS.includes(name) || name === UNTYPED || Object.hasOwn(STORAGES, name) || Object.hasOwn(DTYPES, name);
  }

  call(name: string, args: readonly PickleValue[]): PickleValue | undefined {
    switch (name) {
      case "collections.OrderedDict":
        return args.length === 0 ? new Map() : undefined;
      case "torch.Size":
        return isCounts(args[0]) ? args[0] : undefined;
      case "torch._utils._rebuild_tensor_v2":
        return this.tensor(args, null);
      case "torch._utils._rebuild_tensor_v3": {
        const dtype = args[6];
        return dtype instanceof PickleGlobal && Object.hasOwn(DTYPES, dtype.name)
          ? this.tensor(args, DTYPES[dtype.name]!)
          : undefined;
      }
      case "torch._utils._rebuild_parameter":
        return args[0] instanceof TorchTensor ? args[0] : undefined;
      default:
        return undefined;
    }
  }

  /** ("storage", class, key, place, number of values) */
  persistent(id: PickleValue): PickleValue {
    const [kind, type, key, , count] = Array.isArray(id) ? id : [];
    if (kind !== "storage" || !(type instanceof PickleGlobal) || typeof key !== "string" || !isCount(count)) {
      this.fail("data.pkl: expected the description of a storage as a persistent id.");
    }
    if (type.name !== UNTYPED && !Object.hasOwn(STORAGES, type.name)) {
      this.fail(`data.pkl: expected a class of storages, got ${type.name}.`);
    }
    const bytes = this.entry(`data/${key}`);
    if (bytes === undefined) this.fail(`storage ${JSON.stringify(key)}: expected an entry data/${key} in the archive, got none.`);
    const dtype = type.name === UNTYPED ? null : STORAGES[type.name]!;
    const expected = count * (dtype === null ? 1 : BYTES_PER_VALUE[dtype]);
    if (bytes.length !== expected) this.fail(`storage ${JSON.stringify(key)}: expected ${expected} bytes, got ${bytes.length}.`);
    return new Storage(dtype, bytes);
  }

  private tensor([storage, offset, shape, strides]: readonly PickleValue[], given: StoredDType | null): PickleValue | undefined {
    if (!(storage instanceof Storage) || !isCount(offset) || !isCounts(shape) || !isCounts(strides)) return undefined;
    const dtype = given ?? storage.dtype;
    if (dtype === null || shape.length !== strides.length) return undefined;
    const width = BYTES_PER_VALUE[dtype];
    const available = Math.floor(storage.bytes.length / width);
    const count = countOf(shape);
    const last = shape.reduce((sum, n, axis) => sum + (n - 1) * strides[axis]!, offset);
    if (count === null || count > available || (count > 0 && last >= available)) {
      this.fail(`data.pkl: expected a tensor ${formatShape(shape)} within the ${available} values of its storage.`);
    }
    const bytes = isContiguous(shape, strides)
      ? storage.bytes.subarray(offset * width, (offset + count) * width)
      : gather(storage.bytes, width, offset, shape, strides, count);
    return new TorchTensor({ dtype, shape: [...shape], bytes });
  }
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** The values of a view whose neighbours are not neighbours in memory, in row-major order. */
function gather(
  bytes: Uint8Array,
  width: number,
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
  count: number,
): Uint8Array {
  const out = new Uint8Array(count * width);
  const index = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < count; i++) {
    out.set(bytes.subarray(from * width, (from + 1) * width), i * width);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** Whether the file looks like what `torch.save` writes. */
export function isPt(bytes: Uint8Array): boolean {
  return (bytes[0] === 0x50 && bytes[1] === 0x4b) || isLegacy(bytes);
}

/** PyTorch before 1.6 wrote pickles one after the other; the first is a number. */
function isLegacy(bytes: Uint8Array): boolean {
  return bytes[0] === 0x80 && bytes[2] === 0x8a && bytes[3] === 0x0a;
}

type PickleMap = Map<PickleValue, PickleValue>;
const isMap = (value: PickleValue | undefined): value is PickleMap => value instanceof Map;

/** The dictionary of tensors in what was saved, and the key under which it lies. */
function findState(value: PickleValue, file: string): { state: PickleMap; key: string | null } {
  if (!isMap(value)) {
    throw new DataError(`${file}: data.pkl: expected a dictionary of tensors; save model.state_dict() rather than the model.`);
  }
  const isState = (map: PickleValue | undefined): boolean =>
    isMap(map) && [...map.values()].some((item) => item instanceof TorchTensor);
  if (isState(value)) return { state: value, key: null };
  const found = WRAPPERS.filter((key) => isState(value.get(key)));
  const [key] = found;
  if (key === undefined || found.length > 1) {
    const keys = [...value.keys()].map(String).slice(0, 10).join(", ") || "none";
    const what = key === undefined ? "no tensors" : `several dictionaries of tensors (${found.join(", ")})`;
    throw new DataError(`${file}: data.pkl: expected a dictionary of tensors, got ${what} under the keys ${keys}.`);
  }
  return { state: value.get(key) as PickleMap, key };
}

/**
 * Reads a state dictionary that `torch.save` wrote (.pt, .pth), without executing anything: the pickle inside is read as data,
 * and a class that a plain state dictionary does not need is refused by name. A checkpoint that keeps the dictionary under
 * "state_dict", "model" or the like is read as well; `metadata["pytorch.key"]` says under which.
 *
 * Tensors that are not contiguous are copied into row-major order, others are views into `bytes`.
 *
 * @param file name for errors (default "pt")
 * @throws DataError with file, place and reason; for files of PyTorch before 1.6 and TorchScript what to do
 */
export function readPt(bytes: Uint8Array, file = "pt"): StoredState {
  if (isLegacy(bytes)) {
    throw new DataError(
      `${file}: expected the format of PyTorch 1.6 or later, got the older one. Load and save it with a current torch.save.`,
    );
  }
  const entries = readStoredZip(bytes, file);
  const entry = (name: string): Uint8Array | undefined => {
    const data = entries.get(name);
    if (data === null)
      throw new DataError(`${file}: entry "${name}": expected data without compression, as torch.save stores them.`);
    return data;
  };
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1) {
    throw new DataError(`${file}: expected an archive with one data.pkl, got ${pickles.length}. Is this a file of torch.save?`);
  }
  const root = pickle.slice(0, -"data.pkl".length);
  if (entries.has(`${root}constants.pkl`)) {
    throw new DataError(`${file}: expected a state dictionary, got a TorchScript module; save its state_dict() with torch.save.`);
  }
  const order = entry(`${root}byteorder`);
  if (order !== undefined && new TextDecoder().decode(order) !== "little") {
    throw new DataError(`${file}: byteorder: expected "little", got ${JSON.stringify(new TextDecoder().decode(order))}.`);
  }
  const world = new TorchWorld(file, (name) => entry(root + name));
  const { state, key } = findState(readPickle(entry(pickle)!, `${file}: data.pkl`, world), file);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, value] of state) {
    // torch.nn.Module.get_extra_state and the like: no tensors, no weights.
    if (value instanceof TorchTensor && typeof name === "string") tensors.set(name, value.stored);
  }
  return { tensors, metadata: key === null ? {} : { "pytorch.key": key } };
}
