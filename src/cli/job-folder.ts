import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Job, Json } from "../experiments/protocol.js";
import type { JobStore } from "../experiments/runner.js";
import { prepareOutFolder } from "./out-folder.js";

/**
 * Keeps what jobs found as files, each written whole or not at all. A file counts only if it was written by this version for
 * the same parameters: after a change of either the job runs again.
 */
export class JobFolder implements JobStore {
  private constructor(
    private readonly path: string,
    private readonly version: string,
    private readonly write_: (name: string, text: string) => Promise<string>,
  ) {}

  /** @param fresh whether what is there is thrown away first */
  static async open(path: string, version: string, fresh: boolean): Promise<JobFolder> {
    if (fresh) await rm(path, { recursive: true, force: true });
    const folder = await prepareOutFolder(path);
    return new JobFolder(path, version, folder.write);
  }

  async read({ key, params }: Job): Promise<Json | undefined> {
    const text = await readFile(join(this.path, `${key}.json`), "utf8").catch(() => null);
    if (text === null) return undefined;
    try {
      const kept = JSON.parse(text) as { version: string; params: Json; result: Json };
      const isSame = kept.version === this.version && JSON.stringify(kept.params) === JSON.stringify(params);
      return isSame ? kept.result : undefined;
    } catch {
      return undefined; // damaged: the job runs again
    }
  }

  async write({ key, params }: Job, result: Json): Promise<void> {
    await this.write_(`${key}.json`, JSON.stringify({ version: this.version, params, result }));
  }
}
