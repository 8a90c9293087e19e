/**
 * Writes what benches measured into the documents: `npm run docs:figures -- NAME FILE...` makes the table after
 * `<!-- figures NAME: COMMAND -->` anew, of the files that the command wrote with `--json`.
 */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Command } from "commander";

export const documentsWithFigures = ["docs/performance.md", "docs/peers.md", "docs/scale.md"];

export type Measured = Record<string, { value: number; unit: string }>;

/** @param when told beside the command, such as the day and the number of cores */
export function withFigures(document: string, name: string, figures: Measured, when: string): string {
  return document.replace(
    /(<!-- figures (\S+): (.+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (whole, start: string, each: string, command: string, end: string) =>
      each === name ? `${start}\`${command}\`, ${when}:\n\n${tableOf(figures)}\n\n${end}` : whole,
  );
}

function tableOf(figures: Measured): string {
  const rows = Object.entries(figures).map(
    ([name, { value, unit }]) => `| \`${name}\` | ${value} | ${unit} |`,
  );
  return ["| figure | value | unit |", "|---|---|---|", ...rows].join("\n");
}

if (import.meta.main) {
  const program = new Command("npm run docs:figures --")
    .argument("<name>", "of the table, as in its marker")
    .argument("<files...>", "written by a bench with --json; later ones add to earlier ones")
    .parse();
  const [name, ...files] = program.args as [string, ...string[]];
  const figures: Measured = Object.assign({}, ...files.map(read));
  if (Object.keys(figures).length === 0) program.error("error: the files have no figures");
  const day = statSync(files.at(-1)!).mtime.toISOString().slice(0, 10);
  const when = `${day}, ${availableParallelism()} cores`;
  let found = false;
  for (const document of documentsWithFigures) {
    const file = new URL(`../${document}`, import.meta.url);
    const before = readFileSync(file, "utf8");
    if (!before.includes(`<!-- figures ${name}: `)) continue;
    found = true;
    writeFileSync(file, withFigures(before, name, figures, when));
  }
  if (!found) program.error(`error: no document has a table ${name}`);

  function read(file: string): Measured {
    try {
      return JSON.parse(readFileSync(file, "utf8")) as Measured;
    } catch (error) {
      return program.error(`error: ${file}: ${(error as Error).message}`);
    }
  }
}
