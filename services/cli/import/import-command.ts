/** The command line of `keyline import`: a file's rows as updates. */
import { hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { type ImportFormat, importFormat } from "../../../shared/imports/import-format.ts";
import { readMapping } from "../../../shared/imports/read-mapping.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { Output } from "../dlq/commands.ts";
import { checkBatch } from "./check-batch.ts";
import { lockImport } from "./import-lock.ts";
import {
  assertSameImport,
  type ImportState,
  lookAtFile,
  readFailure,
  readImportState,
  writeImportState,
} from "./import-state.ts";
import { showProgress } from "./progress.ts";
import { count, countsText } from "./progress-text.ts";
import { openRefusedReport } from "./refused-report.ts";
import { runImport } from "./run-import.ts";
import { createBatchSender } from "./send-batch.ts";

export type GatewayOptions = { url?: string; writeKey?: string };
type ImportFlags = GatewayOptions & {
  mapping?: string;
  report?: string;
  importId?: string;
  requests: number;
  restart?: true;
  keyRotated?: true;
  dryRun?: true;
};

export type ImportCommandOptions = {
  /** Reads the settings first; what is given on the command line stands above them. */
  open(given: GatewayOptions): { gatewayUrl: string; writeKey: string };
  signal: AbortSignal;
  output: Output;
  /** Is called when lines were refused. */
  onRefused(): void;
  /** Is called when it was stopped before its end. */
  onUnfinished(): void;
};

const DEFAULT_REQUESTS = 4;

export function importCommand(options: ImportCommandOptions): Command {
  return new Command("import")
    .argument("<file>", "CSV or NDJSON, perhaps gzip")
    .description(
      "Sends the rows of a file to the gateway, each as an update. Run again it goes on where it stopped.\nExits with 0 when all were taken, 1 when some were refused, 2 on errors and where it was stopped.",
    )
    .option(
      "--mapping <file>",
      "how a row becomes an update, in YAML or JSON; NDJSON may hold updates as they are",
    )
    .option("--report <file>", "where refused lines are written; by default FILE.refused.ndjson")
    .option("--dry-run", "map and check every row, and send nothing")
    .option("--restart", "begin at the first line, whatever was taken before")
    .option("--key-rotated", "go on with a new write key of the same tenant")
    .option(
      "--import-id <id>",
      "identifies the import, in the place of the file's digest: a row counts once in it",
    )
    .option("--requests <n>", "under way at once", requestCount, DEFAULT_REQUESTS)
    .option("--url <url>", "the gateway, in the place of GATEWAY_URL")
    .option("--write-key <key>", "in the place of WRITE_KEY; others on this machine can see it")
    .action((file: string, flags: ImportFlags) => run(file, flags, options));
}

function requestCount(text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw new InvalidArgumentError(`must be a whole number from 1 to 99, not ${JSON.stringify(text)}`);
}

async function run(file: string, flags: ImportFlags, options: ImportCommandOptions): Promise<void> {
  const settings = options.open(flags);
  const ownReportPath = `${file}.refused.ndjson`;
  const { dryRun = false, mapping, report: reportPath = ownReportPath } = flags;
  if (settings.writeKey === "" && !dryRun)
    throw new KeylineError("no_write_key", "WRITE_KEY or --write-key must be a write key of the tenant", {
      path: "WRITE_KEY",
    });
  const read = await readFormat(file, mapping);
  const [statePath, lockPath] = [`${file}.import.json`, `${file}.import.lock`];
  assertApart(reportPath, [file, statePath, lockPath, ...(mapping ? [mapping] : [])]);
  // A dry run has no state, and may share the report with an import, also where it names that itself.
  const isAlone = dryRun && resolve(reportPath) !== resolve(ownReportPath);
  const unlock = isAlone ? undefined : await lockImport(lockPath);
  try {
    const paths = { file, reportPath, statePath: dryRun ? undefined : statePath };
    await importFile(paths, flags, { ...options, ...settings, ...read });
  } finally {
    await unlock?.();
  }
}

type FileImport = ImportCommandOptions &
  ReturnType<ImportCommandOptions["open"]> &
  Awaited<ReturnType<typeof readFormat>>;

/** Goes on where it was, or begins. */
async function importFile(
  paths: { file: string; reportPath: string; statePath: string | undefined },
  flags: ImportFlags,
  options: FileImport,
): Promise<void> {
  const { file, reportPath, statePath } = paths;
  const { dryRun = false, restart = false, keyRotated = false, requests } = flags;
  const { output, signal, gatewayUrl, writeKey, format, mappingSha256 } = options;
  const before = statePath === undefined || restart ? undefined : await readImportState(statePath);
  const looked = await lookAtFile(file, before?.file);
  const asked = { gateway: gatewayUrl, mappingSha256, file: looked };
  const writeKeySha256 = hash("sha256", writeKey, "hex");
  const known = { importId: flags.importId, writeKeySha256: keyRotated ? undefined : writeKeySha256 };
  if (before) assertSameImport(before, { ...asked, ...known }, statePath!);
  const state = before ?? newState(asked, flags.importId ?? looked.sha256);
  if (state.done) {
    if (keyRotated) await writeImportState(statePath!, { ...state, writeKeySha256 });
    return alreadyDone(state, { file, reportPath }, options);
  }
  if (before) output.complain(`going on at line ${count.format(state.next.line)}`);

  const report = await openRefusedReport(reportPath, state.reportBytes);
  const progress = showProgress(state, output);
  const send = dryRun
    ? checkBatch
    : createBatchSender({
        ...{ url: gatewayUrl, writeKey, signal, onWait: progress.waiting },
        onKeyTaken() {
          state.writeKeySha256 = writeKeySha256;
        },
      });
  try {
    await runImport({
      ...{ file, format, state, statePath, report, send, requests, signal },
      onRead: progress.read,
    });
  } finally {
    await report.close();
    progress.end();
  }
  output.out(`${dryRun ? "nothing was sent; " : ""}${resultText(state, reportPath)}`);
  if (state.refused > 0) options.onRefused();
  if (state.done) return;
  options.onUnfinished();
  const how = restart ? "the same command without --restart" : "the same command";
  const goOn = dryRun ? "" : `; ${how} goes on at line ${count.format(state.next.line)}`;
  output.complain(`stopped before the end${goOn}`);
}

/** @throws KeylineError `bad_report` */
function assertApart(reportPath: string, others: readonly string[]): void {
  const same = others.find((other) => resolve(other) === resolve(reportPath));
  if (same === undefined) return;
  const message = `--report: ${same} is a file of the import itself`;
  throw new KeylineError("bad_report", message, { path: "--report", value: reportPath });
}

function newState(
  asked: Pick<ImportState, "gateway" | "mappingSha256" | "file">,
  importId: string,
): ImportState {
  const next = { line: 1, offset: 0 };
  const counts = { accepted: 0, refused: 0, reportBytes: 0 };
  return { version: 1, ...asked, importId, next, ahead: [], ...counts, done: false };
}

function alreadyDone(
  state: ImportState,
  { file, reportPath }: { file: string; reportPath: string },
  { output, onRefused }: ImportCommandOptions,
): void {
  output.complain(`${file} was imported to its end before; --restart sends it again`);
  output.out(resultText(state, reportPath));
  if (state.refused > 0) onRefused();
}

function resultText(state: ImportState, reportPath: string): string {
  const counts = countsText(state);
  return state.refused === 0 ? counts : `${counts}; ${reportPath} has them`;
}

/** @throws KeylineError `bad_mapping`, `unknown_format`, `no_mapping` */
async function readFormat(
  file: string,
  mappingPath: string | undefined,
): Promise<{ format: ImportFormat; mappingSha256: string | null }> {
  if (mappingPath === undefined)
    return { format: importFormat(basename(file), undefined), mappingSha256: null };
  const text = await readFile(mappingPath, "utf8").catch((error: unknown) => {
    throw new KeylineError("bad_mapping", readFailure(error, mappingPath), { path: mappingPath });
  });
  const mappingSha256 = hash("sha256", text, "hex");
  return { format: importFormat(basename(file), readMapping(text)), mappingSha256 };
}
