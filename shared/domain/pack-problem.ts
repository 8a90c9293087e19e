import { BEGINNING, isEntry, unpackText } from "./pack.ts";

/** Why a text that begins as a pack is none, for people. Undefined for one that doesn't begin so. */
export function packProblem(text: string): string | undefined {
  return text.startsWith(BEGINNING) ? `begins as a pack and is none: ${whyNone(text)}` : undefined;
}

function whyNone(text: string): string {
  if (unpackText(text)) return "it stands in another pack, or its bytes are no UTF-8";
  const end = text.indexOf("\n");
  if (end < 0) return "its first line has no end";
  const header = parsed(text.slice(0, end));
  if (!Array.isArray(header)) return "its first line is not JSON";
  const wrong = header.findIndex((entry) => !isEntry(entry));
  if (wrong >= 0) return `number ${wrong} in its first line is not [key, length]`;
  const told = header.reduce<number>((sum, [, length]) => sum + length, 0);
  const behind = text.length - end - 1;
  if (told !== behind) return `its first line tells of ${told} UTF-16 code units, behind it are ${behind}`;
  return `${header.length} messages in ${behind} code units are more than a pack may have`;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
