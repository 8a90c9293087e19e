import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

/** As GitHub names a heading in a link. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

test.each(globSync(["*.md", "docs/*.md", "data/*.md"]))(
  "each link of %s leads to a file, and to a heading in it",
  (file) => {
    const links = [...readFileSync(file, "utf8").matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(
      ([, link]) => link!,
    );
    for (const link of links) {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? file : join(dirname(file), path);
      expect(existsSync(target), link).toBe(true);
      if (anchor === undefined) continue;
      const headings = [...readFileSync(target, "utf8").matchAll(/^#+ (.+)$/gm)].map(([, text]) =>
        anchorOf(text!),
      );
      expect(headings, link).toContain(anchor);
    }
  },
);
