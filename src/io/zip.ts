import { DataError } from "../core/errors.js";

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_ENTRY = 0x04034b50;
const END_SIZE = 22;
const MAX_COMMENT = 65535;
const MAX_ENTRIES = 100_000;
/** Stands in 32-bit fields for "see the 64-bit one". */
const IN_ZIP64 = 0xffffffff;

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** The checksum of ZIP files (IEEE 802.3). */
export function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = crcTable[(c ^ bytes[i]!) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/** Reads the directory of an archive, and from it the entries: what lies between them is not looked at. */
class Archive {
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly file: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private fail(place: string, what: string): never {
    throw new DataError(`${this.file}: ${place}: ${what}`);
  }

  entries(): Map<string, Uint8Array | null> {
    const end = this.endOfDirectory();
    const count = this.view.getUint16(end + 10, true);
    const [size, start] = [this.view.getUint32(end + 12, true), this.view.getUint32(end + 16, true)];
    if (count === 0xffff || size === IN_ZIP64 || start === IN_ZIP64) {
      this.fail("directory", "expected a ZIP archive below 4 GiB, got the 64-bit form, which is not read. Save as safetensors.");
    }
    if (count > MAX_ENTRIES) this.fail("directory", `expected at most ${MAX_ENTRIES} entries, got ${count}.`);
    if (start + size > end) this.fail("directory", `expected it to end before byte ${end}, got ${start + size}.`);
    const found = new Map<string, Uint8Array | null>();
    let at = start;
    for (let i = 0; i < count; i++) {
      const { name, data, next } = this.entry(at, end);
      if (found.has(name)) this.fail("directory", `expected every name once, got "${name}" twice.`);
      found.set(name, data);
      at = next;
    }
    return found;
  }

  private endOfDirectory(): number {
    const { length } = this.bytes;
    for (let at = length - END_SIZE; at >= Math.max(0, length - END_SIZE - MAX_COMMENT); at--) {
      if (this.view.getUint32(at, true) === END_OF_DIRECTORY) return at;
    }
    return this.fail("directory", "expected a ZIP archive's directory at the end of the file. Was the file cut off?");
  }

  private entry(at: number, end: number): { name: string; data: Uint8Array | null; next: number } {
    if (at + 46 > end || this.view.getUint32(at, true) !== DIRECTORY_ENTRY) {
      this.fail("directory", `expected an entry at byte ${at}.`);
    }
    const u16 = (offset: number) => this.view.getUint16(at + offset, true);
    const u32 = (offset: number) => this.view.getUint32(at + offset, true);
    const [flags, method, crc, packed, size, local] = [u16(8), u16(10), u32(16), u32(20), u32(24), u32(42)];
    const next = at + 46 + u16(28) + u16(30) + u16(32);
    if (next > end) this.fail("directory", `expected the entry at byte ${at} to end before byte ${end}.`);
    const name = new TextDecoder().decode(this.bytes.subarray(at + 46, at + 46 + u16(28)));
    const place = `entry ${JSON.stringify(name)}`;
    if (flags & 1) this.fail(place, "expected no encryption.");
    if (method !== 0) return { name, data: null, next };
    if (packed !== size) this.fail(place, `expected as many bytes as it says it has, ${size}, got ${packed}.`);
    if (size === IN_ZIP64 || local === IN_ZIP64) this.fail(place, "expected sizes below 4 GiB.");
    const data = this.stored(place, local, size);
    // PyTorch can be told to leave checksums out; they are 0 then.
    if (crc !== 0 && crc32(data) !== crc) this.fail(place, "expected data with the checksum of the directory: they are damaged.");
    return { name, data, next };
  }

  private stored(place: string, local: number, size: number): Uint8Array {
    const { length } = this.bytes;
    if (local + 30 > length || this.view.getUint32(local, true) !== LOCAL_ENTRY) {
      this.fail(place, `expected its header at byte ${local}.`);
    }
    const start = local + 30 + this.view.getUint16(local + 26, true) + this.view.getUint16(local + 28, true);
    if (start + size > length) this.fail(place, `expected ${size} bytes from byte ${start} on, the file has ${length}.`);
    return this.bytes.subarray(start, start + size);
  }
}

/**
 * The entries of a ZIP archive by name, as views into `bytes`; null for those with compression. An archive cannot grow while it is
 * read: nothing is unpacked.
 *
 * @throws DataError with file, place and reason
 * @see PKWARE, APPNOTE.TXT, ".ZIP File Format Specification", sections 4.3.7, 4.3.12 and 4.3.16
 */
export function readStoredZip(bytes: Uint8Array, file: string): Map<string, Uint8Array | null> {
  return new Archive(bytes, file).entries();
}
