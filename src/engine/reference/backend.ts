import { BackendError, DisposedError } from "../../core/errors.js";
import type { Backend, DType, HostArray, MemoryReport, Program, RecordedProgram, Storage } from "../backend.js";
import type { KernelArgs, KernelName } from "../kernels.js";
import { activeRecorder, READING_REFUSED, type Recorder, refuseInStep, WRITING_REFUSED } from "../recorder.js";
import { ReferenceProgram } from "./program.js";
import { ReferenceStorage } from "./storage.js";

/** The pending program runs when it has become this long, so that it never holds much released memory. */
const MAX_PENDING = 512;

/**
 * The definition of every kernel, in float64, on one thread, without a build. "float32" and "float64" are Float64Arrays.
 * New memory is full of NaN (floats) or of a garbage number (integers): a kernel that reads what nobody wrote shows.
 */
export class ReferenceBackend implements Backend {
  readonly name = "reference";
  readonly threads = 1;
  readonly #pending = new ReferenceProgram(this);
  #used = 0;
  #peak = 0;
  #storages = 0;
  #disposed = false;

  #check(who: string): void {
    if (this.#disposed) throw new DisposedError(`${who}: the reference backend was disposed.`);
  }

  #own(who: string, storage: Storage): ReferenceStorage {
    this.#check(who);
    if (!(storage instanceof ReferenceStorage) || storage.backend !== this) {
      throw new BackendError(`${who}: expected memory of this backend, got memory of another (${storage.backend.name}).`);
    }
    if (storage.released) throw new DisposedError(`${who}: the memory was released before.`);
    return storage;
  }

  alloc(dtype: DType, length: number): Storage {
    this.#check("alloc");
    if (!Number.isInteger(length) || length < 0) {
      throw new BackendError(`alloc: expected a length that is a non-negative integer, got ${length}.`);
    }
    const storage = new ReferenceStorage(this, dtype, length);
    const recorder = activeRecorder();
    return recorder === null ? this.#count(storage) : recorder.take(storage);
  }

  #count(storage: ReferenceStorage): ReferenceStorage {
    storage.counted = true;
    this.#used += storage.array.byteLength;
    this.#storages++;
    this.#peak = Math.max(this.#peak, this.#used);
    return storage;
  }

  /** Gives memory back. Calls that are pending still see it; new calls may not name it. After `dispose`, does nothing. */
  release(storage: Storage): void {
    if (this.#disposed) return;
    const own = this.#own("release", storage);
    const recorder = activeRecorder();
    if (recorder !== null) {
      recorder.release(storage);
      return;
    }
    own.released = true;
    if (!own.counted) return;
    this.#used -= own.array.byteLength;
    this.#storages--;
  }

  write(storage: Storage, data: ArrayLike<number>): void {
    refuseInStep("compile", WRITING_REFUSED);
    const { array } = this.#own("write", storage);
    if (data.length !== array.length) {
      throw new BackendError(`write: expected ${array.length} numbers, got ${data.length}.`);
    }
    this.flush();
    array.set(data);
  }

  read(storage: Storage): HostArray {
    refuseInStep("compile", READING_REFUSED);
    const { array } = this.#own("read", storage);
    this.flush();
    return array.slice();
  }

  call<K extends KernelName>(kernel: K, args: KernelArgs<K, Storage>): void {
    this.#check(kernel);
    const recorder = activeRecorder();
    if (recorder !== null) {
      recorder.call(this, kernel, args);
      return;
    }
    this.#pending.append(kernel, args);
    if (this.#pending.length > MAX_PENDING) this.flush();
  }

  flush(): void {
    this.#check("flush");
    if (activeRecorder() !== null) return;
    this.#pending.run();
    this.#pending.clear();
  }

  /** An empty program. When it runs, what is pending runs first. */
  program(): Program {
    this.#check("program");
    return new ReferenceProgram(this, () => this.flush());
  }

  link(recorder: Recorder, kept: ReadonlySet<Storage>, inputs: readonly Storage[]): RecordedProgram {
    this.#check("link");
    for (const storage of kept) this.#count(storage as ReferenceStorage);
    const program = new ReferenceProgram(this, () => this.flush(), inputs as readonly ReferenceStorage[]);
    for (const { kernel, args } of recorder.calls) program.append(kernel, args as KernelArgs<KernelName, Storage>);
    return program;
  }

  memory(): MemoryReport {
    return { used: this.#used, peak: this.#peak, reserved: this.#used, storages: this.#storages };
  }

  dispose(): void {
    this.#pending.clear();
    this.#disposed = true;
    this.#used = 0;
    this.#storages = 0;
  }
}
