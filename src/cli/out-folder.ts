import { existsSync } from "node:fs";
import { mkdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DataError } from "../core/errors.js";

/** A folder for results that exists and can be written to. */
export interface OutFolder {
  readonly path: string;
  /** Writes a file whole or not at all, replacing an older one. */
  write(name: string, content: string | Uint8Array): Promise<string>;
  /** Takes away the folders that were made for this, if they are still empty. */
  discard(): Promise<void>;
}

/**
 * Makes the folder if need be and tries to write into it, so that a run does not find out at its end that it cannot.
 *
 * @throws DataError if it cannot be made or written to
 */
export async function prepareOutFolder(path: string): Promise<OutFolder> {
  let made: string | undefined;
  try {
    made = await makeFolder(resolve(path));
    const probe = join(path, `.evenkeel-${process.pid}.tmp`);
    await writeFile(probe, "");
    await rm(probe);
  } catch (cause) {
    await removeEmpty(path, made);
    throw new DataError(`--out: expected a folder that can be written to, got ${path} (${codeOf(cause)}). Choose another.`, {
      cause,
    });
  }
  return {
    path,
    write: (name, content) => writeWhole(join(path, name), content),
    discard: () => removeEmpty(path, made),
  };
}

/** "runs/compare-2026-03-01T10-00-00", in UTC, with a number behind it if that exists. */
export function defaultOutFolder(cwd: string, command: string, now: number): string {
  const stamp = new Date(now).toISOString().slice(0, 19).replaceAll(":", "-");
  const base = resolve(cwd, "runs", `${command}-${stamp}`);
  let path = base;
  for (let i = 2; existsSync(path); i++) path = `${base}-${i}`;
  return path;
}

/**
 * Makes a folder and those above it; returns the outermost that was made. One at a time, since Node's recursive mkdir
 * never returns where a parent exists and yet mkdir says ENOENT, as below /proc.
 */
async function makeFolder(path: string): Promise<string | undefined> {
  if (existsSync(path)) return undefined;
  const above = await makeFolder(dirname(path));
  await mkdir(path);
  return above ?? path;
}

async function writeWhole(path: string, content: string | Uint8Array): Promise<string> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new DataError(`Could not write ${path} (${codeOf(cause)}).`, { cause });
  }
  return path;
}

/** Removes empty folders from `path` up to `first`, the outermost that was made. */
async function removeEmpty(path: string, first: string | undefined): Promise<void> {
  if (first === undefined) return;
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch {
      return; // not empty, or not made: nothing of ours is lost
    }
    if (folder === resolve(first)) return;
  }
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}
