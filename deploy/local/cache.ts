/** What is downloaded once and shared by all checkouts of one user. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { lockFile } from "./lock-file.ts";

/** `$XDG_CACHE_HOME/keyline`, by default `~/.cache/keyline`. */
export function cacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "keyline");
}

/**
 * The directory `name` of the cache, made by `build` when it is not there yet. `build` fills an empty directory
 * beside it, which takes its name only when it is whole. Of several processes one builds and the others wait.
 */
export async function cached(name: string, build: (directory: string) => Promise<void>): Promise<string> {
  const target = join(cacheDirectory(), name);
  if (existsSync(target)) return target;
  mkdirSync(cacheDirectory(), { recursive: true });
  const unlock = await lockFile(`${target}.lock`);
  try {
    if (existsSync(target)) return target;
    removeUnfinished(name);
    const temporary = mkdtempSync(`${target}.part-`);
    try {
      await build(temporary);
      renameSync(temporary, target);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
    return target;
  } finally {
    unlock();
  }
}

/** What a build that was killed has left; the lock says that no other builds now. */
function removeUnfinished(name: string): void {
  for (const entry of readdirSync(cacheDirectory())) {
    if (!entry.startsWith(`${name}.part-`)) continue;
    rmSync(join(cacheDirectory(), entry), { recursive: true, force: true });
  }
}
