import { DateTime } from "luxon";
import { momentOf } from "../domain/iso-time.ts";
import type { At } from "./mapping.ts";
import { badMapping } from "./read-mapping.ts";

/** A cell as ms since the epoch, or undefined where it is no such time. */
export type MomentReader = (raw: unknown) => number | undefined;

/** @throws KeylineError `bad_mapping` where there is no such zone */
export function momentReader({ format = "iso", zone }: Pick<At, "format" | "zone">): MomentReader {
  if (zone !== undefined && !DateTime.local({ zone }).isValid)
    throw badMapping(
      "at.zone",
      zone,
      "must be UTC, an offset such as UTC+2, or a name such as Europe/Berlin",
    );
  if (format === "milliseconds") return (raw) => epoch(raw, 1);
  if (format === "seconds") return (raw) => epoch(raw, 1_000);
  const inZone = { zone: zone ?? "utc", locale: "en-US" };
  const read = (text: string) =>
    format === "iso" ? DateTime.fromISO(text, inZone) : DateTime.fromFormat(text, format, inZone);
  return (raw) => {
    if (typeof raw !== "string" && typeof raw !== "number") return undefined;
    const text = String(raw).trim();
    if (format === "iso" && zone === undefined) return momentOf(text);
    const moment = read(text);
    return moment.isValid ? moment.toMillis() : undefined;
  };
}

function epoch(raw: unknown, factor: number): number | undefined {
  const text = String(raw).trim();
  return /^-?\d+(?:\.\d+)?$/.test(text) ? Math.round(Number(text) * factor) : undefined;
}
