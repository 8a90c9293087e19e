import { KeylineError } from "../runtime/errors.ts";
import type { Mapping } from "./mapping.ts";

/** How a file is read. `columns` undefined: its first line has them. */
export type ImportFormat =
  | {
      kind: "csv";
      mapping: Mapping;
      delimiter: string;
      columns: readonly string[] | undefined;
      header: boolean;
    }
  | { kind: "ndjson"; mapping: Mapping | undefined };

const KIND_OF_END: Record<string, { kind: "csv" | "ndjson"; delimiter?: string }> = {
  csv: { kind: "csv" },
  tsv: { kind: "csv", delimiter: "\t" },
  ndjson: { kind: "ndjson" },
  jsonl: { kind: "ndjson" },
};

/**
 * By what the mapping says, else by the file's name.
 * @throws KeylineError `unknown_format`, `no_mapping`, `bad_mapping`
 */
export function importFormat(fileName: string, mapping: Mapping | undefined): ImportFormat {
  const [, end = ""] = /\.([a-z]+)(?:\.gz)?$/i.exec(fileName) ?? [];
  const known = Object.hasOwn(KIND_OF_END, end.toLowerCase()) ? KIND_OF_END[end.toLowerCase()] : undefined;
  const kind = mapping?.format ?? (mapping?.delimiter === undefined ? known?.kind : "csv");
  if (kind === undefined) {
    const message = `${fileName} is neither .csv, .tsv, .ndjson nor .jsonl: the mapping must say its format`;
    throw new KeylineError("unknown_format", message, { path: "format", value: fileName });
  }
  if (kind === "ndjson") return { kind, mapping };
  if (!mapping) throw new KeylineError("no_mapping", "CSV needs a mapping", { path: "mapping" });
  const { delimiter = known?.delimiter ?? ",", columns, header = columns === undefined } = mapping;
  return { kind, mapping, delimiter, columns, header };
}
