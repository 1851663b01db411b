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

interface Piece {
  address: number;
  size: number;
}

/**
 * Hands out pieces of a WebAssembly memory. Freed pieces are kept by size class; the memory grows when none fits. Where it
 * cannot grow any more, freed neighbours are joined and cut anew, so that any mixture of sizes can follow another.
 */
export class Heap {
  private readonly free = new Map<number, number[]>();
  /** Joined pieces, by address. */
  private joined: Piece[] = [];
  private top: number;
  /** Whether the platform gave less than was allowed when the memory was to grow last. */
  private isRefused = false;
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
    address ??= this.cut(size) ?? this.append(size);
    if (address === undefined) {
      this.join();
      address = this.cut(size) ?? this.append(size);
    }
    if (address === undefined) throw this.exhausted(size);
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

  /** Takes from the end of what is in use; undefined if the memory cannot grow that far. */
  private append(size: number): number | undefined {
    const address = this.top;
    if (!this.ensure(address + size + SLACK)) return undefined;
    this.top = address + size;
    return address;
  }

  /** Takes from the first joined piece that is large enough. */
  private cut(size: number): number | undefined {
    const index = this.joined.findIndex((piece) => piece.size >= size);
    const piece = this.joined[index];
    if (piece === undefined) return undefined;
    const { address } = piece;
    piece.address += size;
    piece.size -= size;
    if (piece.size === 0) this.joined.splice(index, 1);
    return address;
  }

  /** Joins freed neighbours; what lies at the end of what is in use goes back to the rest. */
  private join(): void {
    const pieces = [...this.joined];
    for (const [size, addresses] of this.free) for (const address of addresses) pieces.push({ address, size });
    this.free.clear();
    pieces.sort((a, b) => a.address - b.address);
    this.joined = [];
    for (const piece of pieces) {
      const last = this.joined.at(-1);
      if (last !== undefined && last.address + last.size === piece.address) last.size += piece.size;
      else this.joined.push(piece);
    }
    const last = this.joined.at(-1);
    if (last !== undefined && last.address + last.size === this.top) {
      this.top = last.address;
      this.joined.pop();
    }
  }

  private ensure(end: number): boolean {
    const have = this.memory.buffer.byteLength;
    if (end <= have) return true;
    if (end > this.maxBytes) return false;
    // Grow by a quarter at least, so that many small requests do not each renew every view of the memory.
    const wish = Math.min(this.maxBytes, Math.max(end, have + Math.min(have / 4, 256 * 2 ** 20)));
    this.isRefused = !this.grow(wish) && !this.grow(end);
    if (!this.isRefused) this.onGrow();
    return !this.isRefused;
  }

  private exhausted(asked: number): BackendError {
    const { used, maxBytes, isRefused } = this;
    let why = isRefused ? `, and the platform gives no more than ${this.reserved}` : "";
    if (!isRefused && used + asked < maxBytes) why = ", and no free piece is as large";
    return new BackendError(
      `evenkeel: out of memory: ${asked} more bytes were needed with ${used} of at most ${maxBytes} in use${why}. ` +
        `Dispose of tensors with tidy()${isRefused ? " or use a smaller batch" : ", use a smaller batch, or raise init({ maxMemory })"}.`,
    );
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
