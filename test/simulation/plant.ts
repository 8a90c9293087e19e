/**
 * Loaded before everything else (`node --import`): plants the bug that `KEYLINE_MUTANT` names into the source that it
 * is in, as that is loaded. Nothing is written.
 */
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { mutants, plant } from "./mutants.ts";

const name = process.env.KEYLINE_MUTANT;
const mutant = mutants.find((each) => each.name === name);
if (!mutant)
  throw new Error(`KEYLINE_MUTANT=${name} is none of ${mutants.map((each) => each.name).join(", ")}`);

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.startsWith("file:") || !fileURLToPath(url).endsWith(`/${mutant.file}`)) return loaded;
    return { ...loaded, source: plant(mutant, String(loaded.source)) };
  },
});
