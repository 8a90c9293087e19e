/** RFC 3339, 5.6: a date with a time and its offset. */
export const RFC_3339 = "^\\d{4}-\\d{2}-\\d{2}[Tt]\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?([Zz]|[+-]\\d{2}:\\d{2})$";
const ISO =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) ?([Zz]|[+-]\d{2}:?\d{2})?)?$/;

/** What programs write, on a day that its month has: the parser may be trusted with it, and takes a tenth of the time. */
const USUAL =
  /^\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)T\d{2}:\d{2}:\d{2}(?:\.\d{3})?Z$/;

/**
 * An ISO 8601 date or time in ms since the epoch, or undefined where it is none. Digits past the millisecond are
 * cut off. Without an offset it is UTC, whatever the zone of this machine. Months and days may have one digit:
 * Segment's own examples have such times.
 */
export function momentOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (USUAL.test(text)) return epochMs(text);
  const [, year, month, day, time = "00:00", offset = "Z"] = ISO.exec(text) ?? [];
  if (year === undefined || month === undefined || day === undefined) return undefined;
  const date = `${year}-${month.padStart(2, "0")}-${day.padStart(2, "0")}`;
  const midnight = Date.parse(`${date}T00:00Z`);
  // The parser takes the 30th of February for the 1st of March.
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(date)) return undefined;
  return epochMs(`${date}T${time}${offset.toUpperCase()}`);
}

function epochMs(text: string): number | undefined {
  const moment = Date.parse(text);
  return Number.isNaN(moment) ? undefined : moment;
}
