import { reasonOf } from "./selection.ts";
import { letterId, type StoredLetter } from "./stored-letter.ts";

const SHOWN_LENGTH = 60;

/** One line: id, when, reason, path, user, the path it came over, size. */
export function letterLine({ id, letter, user, parkedAtMs, delivery }: StoredLetter): string {
  const size = `${letter?.payloadBytes ?? delivery.sizeBytes} B${letter?.cut ? " (cut)" : ""}`;
  const path = letter?.path ? `at ${shortened(letter.path)}` : "-";
  const fields = [
    id,
    timeOf(parkedAtMs),
    reasonOf(letter),
    path,
    shortened(user ?? "-"),
    letter?.via ?? "-",
    size,
  ];
  return fields.join("  ");
}

/** The letter without payload and stack, as one line of JSON. */
export function letterJson({ id, letter, user, parkedAtMs, delivery }: StoredLetter): string {
  const { payload: _, stack: __, v: ___, ...said } = letter ?? { key: delivery.key, payload: "", v: 1 };
  return JSON.stringify({ id, parkedAt: timeOf(parkedAtMs), user, ...said, reason: reasonOf(letter) });
}

/** Everything, for people; the payload over several lines where it is JSON. */
export function letterDetails(stored: StoredLetter): string {
  const { id, letter, user, delivery } = stored;
  if (letter === undefined)
    return `id         ${id}\nreason     unreadable: not a letter of this build\n\n${printable(delivery.payload)}`;
  const { position } = letter;
  const place = position && `${letterId(position)}, partition ${position.partition}`;
  const fields: [string, string | undefined][] = [
    ["id", id],
    ["reason", `${letter.reason}: ${letter.message}`],
    ["path", letter.path || "(the whole payload)"],
    ["value", letter.value],
    ["user", user ?? "-"],
    ["key", letter.key],
    ["via", letter.via],
    ["published", timeOf(letter.publishTimeMs)],
    ["parked", timeOf(letter.parkedAtMs)],
    ["ledger", place],
    ["size", `${letter.payloadBytes} bytes${letter.cut ? ", cut here: can't be replayed" : ""}`],
    ["stack", letter.stack],
  ];
  const lines = fields.flatMap(([name, text]) =>
    text === undefined ? [] : [`${name.padEnd(10)} ${printable(text)}`],
  );
  return `${lines.join("\n")}\n\n${printable(pretty(letter.payload))}`;
}

/** The letter and its payload whole, as one line of JSON. */
export function wholeJson({ id, letter, user, delivery }: StoredLetter): string {
  return JSON.stringify({ id, user, ...(letter ?? { reason: "unreadable", payload: delivery.payload }) });
}

function pretty(payload: string): string {
  try {
    return JSON.stringify(JSON.parse(payload), undefined, 2);
  } catch {
    return payload;
  }
}

/** ISO 8601, or the number where it is beyond what dates can say. */
function timeOf(atMs: number): string {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? `${atMs}` : date.toISOString();
}

function shortened(text: string): string {
  const line = printable(text).replaceAll("\n", "\\n");
  return line.length <= SHOWN_LENGTH ? line : `${line.slice(0, SHOWN_LENGTH)}…`;
}

/** Payloads come from anyone: what could move the cursor or turn the text around is written out. */
export function printable(text: string): string {
  return text.replace(/[^\P{C}\n]|[\u2028\u2029]/gu, (character) => {
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
}
