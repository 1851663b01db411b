import { BackendError } from "../../core/errors.js";

const PAGE = 65536;
/** Kernels may read up to this many bytes past the last value. */
const SLACK = 256;

/** Rounds up to a size class: multiples of 64 bytes up to 1 KiB, then four steps per power of two. */
function sizeClass(bytes: number): number {
  if (bytes <= 1024) return Math.max(64, Math.ceil(bytes / 64) * 64);
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2);
  return Math.ceil(bytes / step) * step;
}

/** Hands out pieces of a WebAssembly memory. Freed pieces are kept by size class; the memory grows when none fits. */
export class Heap {
  private readonly free = new Map<number, number[]>();
  private top: number;
  used = 0;
  peak = 0;

  constructor(
    private readonly memory: WebAssembly.Memory,
    base: number,
    private readonly maxBytes: number,
    private readonly onGrow: () => void,
  ) {
    this.top = Math.ceil(base / 64) * 64;
  }

  /** Address of at least `bytes` bytes, a multiple of 64. */
  take(bytes: number): number {
    const size = sizeClass(bytes);
    let address = this.free.get(size)?.pop();
    if (address === undefined) {
      address = this.top;
      this.ensure(address + size + SLACK, size);
      this.top = address + size;
    }
    this.used += size;
    this.peak = Math.max(this.peak, this.used);
    return address;
  }

  /** Gives back what `take(bytes)` returned. */
  give(address: number, bytes: number): void {
    const size = sizeClass(bytes);
    this.used -= size;
    const list = this.free.get(size);
    if (list) list.push(address);
    else this.free.set(size, [address]);
  }

  get reserved(): number {
    return this.memory.buffer.byteLength;
  }

  private ensure(end: number, asked: number): void {
    const have = this.memory.buffer.byteLength;
    if (end <= have) return;
    // Grow by a quarter at least, so that many small requests do not each renew every view of the memory.
    const wish = Math.min(this.maxBytes, Math.max(end, have + Math.min(have / 4, 256 * 2 ** 20)));
    if (end > this.maxBytes || !(this.grow(wish) || this.grow(end))) {
      throw new BackendError(
        `evenkeel: out of memory: ${asked} more bytes were needed with ${this.used} of at most ${this.maxBytes} in use. ` +
          "Dispose of tensors with tidy(), use a smaller batch, or raise init({ maxMemory }).",
      );
    }
    this.onGrow();
  }

  private grow(end: number): boolean {
    try {
      this.memory.grow(Math.ceil((end - this.memory.buffer.byteLength) / PAGE));
      return true;
    } catch {
      return false;
    }
  }
}
