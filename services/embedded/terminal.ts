import { stripVTControlCharacters, styleText } from "node:util";
import { type Level, pino } from "pino";
import type { Log } from "../../shared/runtime/log.ts";
import type { DemoStatus, StoryLine } from "./demo.ts";
import { statusText } from "./status-text.ts";

/**
 * The terminal: lines that stay, and below them, where it is a TTY, a block that is rewritten in place. Every
 * output goes through here, so that nothing is ever written into the block.
 */
export type Terminal = {
  /** A line that stays. */
  print(line: string): void;
  story(line: StoryLine): void;
  show(status: DemoStatus): void;
  /** Takes the block away. */
  close(): void;
};

const SHOWN_CUSTOMERS = 3;
/** On a TTY the block is rewritten this often; elsewhere a line is printed this often. */
export const REWRITE_EVERY_MS = 1_000;
export const PRINT_EVERY_MS = 5_000;

export function createTerminal(output: NodeJS.WriteStream): Terminal {
  let block: string[] = [];

  const erase = () => (block.length === 0 ? "" : `\u001b[${block.length}A\u001b[J`);
  const draw = () => block.map((line) => `${line}\n`).join("");

  function print(line: string): void {
    output.write(output.isTTY ? `${erase()}${line}\n${draw()}` : `${line}\n`);
  }

  function rewrite(lines: string[]): void {
    const before = erase();
    // A line that wraps would leave its rest behind at the next rewrite. Some terminals report 0 columns.
    block = lines.map((line) => cut(line, (output.columns || 80) - 1));
    output.write(before + draw());
  }

  return {
    print,
    story: ({ atMs, tone, text }) =>
      print(`${clock(atMs)}  ${styleText(tone === "good" ? "green" : "red", plain(text))}`),
    show(status) {
      const text = statusText(status, SHOWN_CUSTOMERS);
      if (!output.isTTY) {
        print(`${clock(status.nowMs)}  ${plain(Object.values(text).join(" | "))}`);
        return;
      }
      const key = status.pulsar.broken ? "b heals Pulsar" : "b breaks Pulsar";
      rewrite([
        "",
        row("route", text.route),
        row("updates", text.updates),
        row("counts", text.counts),
        row("latest", text.customers),
        row("keys", `${key}, q ends`),
      ]);
    },
    close() {
      if (output.isTTY) output.write(erase());
      block = [];
    },
  };
}

/** A log that people read: one line an event, above the block. */
export function createTerminalLog(name: string, level: string, terminal: Terminal): Log {
  return pino(
    { name, level },
    {
      write(json: string) {
        const { time, level: severity, msg, err } = JSON.parse(json) as LogLine;
        const label: Level = pino.levels.labels[severity] as Level;
        const detail = err && label === "error" ? `\n${err.stack}` : "";
        terminal.print(`${clock(time)}  ${styleText("dim", label)} ${plain(msg ?? "")}${detail}`);
      },
    },
  );
}

type LogLine = { time: number; level: number; msg?: string; err?: { stack?: string } };

/** Calls `onKey` with each key that is pressed, Ctrl-C as `q`; returns what ends that. */
export function readKeys(input: NodeJS.ReadStream, onKey: (key: string) => void): () => void {
  if (!input.isTTY) return () => {};
  const listen = (chunk: Buffer) => {
    for (const key of chunk.toString()) onKey(key === "\u0003" ? "q" : key);
  };
  input.setRawMode(true);
  input.on("data", listen);
  input.resume();
  return () => {
    input.off("data", listen);
    input.setRawMode(false);
    input.pause();
  };
}

function row(name: string, text: string): string {
  return `  ${styleText("dim", name.padEnd(8))} ${plain(text)}`;
}

/** User ids and reasons are free text and must not steer the terminal. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}

function cut(line: string, columns: number): string {
  const width = stripVTControlCharacters(line).length;
  return width <= columns ? line : `${line.slice(0, columns - 1 + (line.length - width))}…`;
}

function clock(epochMs: number): string {
  return new Date(epochMs).toTimeString().slice(0, 8);
}
