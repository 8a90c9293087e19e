import { parse } from "csv-parse/sync";

/**
 * The fields of CSV records, each by itself of the right form; undefined for one that can't be read all the same.
 *
 * @param delimiter one character, or `whitespace` for any run of spaces and tabs, without quotes
 */
export function fieldsOf(texts: readonly string[], delimiter: string): (string[] | undefined)[] {
  if (delimiter === "whitespace") return texts.map((text) => text.trim().split(/[ \t]+/));
  const together = parsed(texts.join("\n"), delimiter);
  if (together?.length === texts.length) return together;
  return texts.map((text) => {
    const records = parsed(text, delimiter);
    return records?.length === 1 ? records[0] : undefined;
  });
}

function parsed(text: string, delimiter: string): string[][] | undefined {
  try {
    return parse(text, { delimiter, record_delimiter: "\n", relax_column_count: true });
  } catch {
    return undefined;
  }
}
