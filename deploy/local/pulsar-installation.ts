import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { cached } from "./cache.ts";
import type { Report } from "./server-process.ts";
import { findProgram, installPackages, runProgram } from "./tools.ts";

/** A release of the long-term support line; Key_Shared keeps its order from 4.0.3 on. */
export const pulsarVersion = "4.0.8";
const archiveName = `pulsar-server-distribution-${pulsarVersion}-bin.tar.gz`;
const archiveSha512 =
  "65b769b10696cdfebf7fc5bcdc95dd663702e27051e616c1a13cb100e91279525be35352171befe7b0011176330aab29bd0a6c8a0f2f0646641af46d2e33cbd6";
const archiveMegabytes = 245;
const copyGoal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
const minimumJava = 17;
const downloadTimeoutMs = 3_600_000;
const progressEveryMs = 3_000;
const packages = ["openjdk-17-jre-headless", "maven"];

export type PulsarInstallation = { directory: string };

/**
 * Puts Pulsar's official distribution into the cache: downloaded by Maven (whose settings, mirrors included,
 * apply), checked against the digest above, unpacked once.
 * @throws KeylineError `local_tool_missing` without Java 17 or Maven, `local_command_failed` by Maven or tar,
 *   `local_download_corrupt`.
 */
export async function installPulsar(report: Report): Promise<PulsarInstallation> {
  await requireJava(report);
  const directory = await cached(`pulsar-${pulsarVersion}`, async (temporary) => {
    if (findProgram("mvn") === undefined) {
      await installPackages(packages, "Pulsar is downloaded by Maven (mvn)", report);
    }
    const download = join(temporary, "download");
    await downloadArchive(download, report);
    const archive = join(download, archiveName);
    await verify(archive);
    report(`pulsar ${pulsarVersion}: unpacking`);
    await runProgram("tar", ["-xzf", archive, "-C", download], { timeoutMs: downloadTimeoutMs });
    const unpacked = join(download, `apache-pulsar-${pulsarVersion}`);
    for (const entry of readdirSync(unpacked)) renameSync(join(unpacked, entry), join(temporary, entry));
    rmSync(download, { recursive: true });
  });
  return { directory };
}

async function requireJava(report: Report): Promise<void> {
  const found = await javaVersion();
  if (found !== undefined && found >= minimumJava) return;
  const has = found === undefined ? "there is none" : `this machine has ${found}`;
  await installPackages(packages, `Pulsar needs Java >= ${minimumJava}, ${has}`, report);
}

async function javaVersion(): Promise<number | undefined> {
  const home = process.env.JAVA_HOME;
  const java = home === undefined || home === "" ? "java" : join(home, "bin", "java");
  const output = await runProgram(java, ["-version"], { timeoutMs: 30_000 }).catch(() => "");
  const version = /version "(\d+)/.exec(output);
  return version === null ? undefined : Number(version[1]);
}

async function downloadArchive(directory: string, report: Report): Promise<void> {
  // A repository of its own: its size is the progress, and it goes when the archive is unpacked.
  const repository = join(directory, "repository");
  mkdirSync(repository, { recursive: true });
  report(`pulsar ${pulsarVersion}: downloading ${archiveMegabytes} MB from Maven Central`);
  const progress = setInterval(() => {
    report(`pulsar ${pulsarVersion}: ${megabytesBelow(repository)} MB of about ${archiveMegabytes} MB`);
  }, progressEveryMs);
  try {
    const artifact = `org.apache.pulsar:pulsar-server-distribution:${pulsarVersion}:tar.gz:bin`;
    const settings = [`-Dartifact=${artifact}`, `-DoutputDirectory=${directory}`];
    const quiet = ["--batch-mode", "--quiet", `-Dmaven.repo.local=${repository}`];
    await runProgram("mvn", [...quiet, copyGoal, ...settings], { timeoutMs: downloadTimeoutMs });
  } finally {
    clearInterval(progress);
  }
}

function megabytesBelow(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    // Maven renames its partial files while we look.
    bytes += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return Math.round(bytes / 1e6);
}

async function verify(archive: string): Promise<void> {
  const hash = createHash("sha512");
  await pipeline(createReadStream(archive), hash);
  const digest = hash.digest("hex");
  if (digest === archiveSha512) return;
  const message = `${archiveName} has the SHA-512 ${digest}, expected ${archiveSha512}; it was not used`;
  throw new KeylineError("local_download_corrupt", message, { value: digest });
}
