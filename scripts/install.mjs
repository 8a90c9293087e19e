/**
 * Installs the dependencies when they are missing or package-lock.json asks for others; before each script of
 * package.json. Needs nothing but Node >= 18.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The packages of a lock file by folder, without the project itself; undefined when there is no such file. */
function lockedPackages(file) {
  if (!existsSync(root + file)) return undefined;
  const { "": _project, ...packages } = JSON.parse(readFileSync(root + file, "utf8")).packages;
  return packages;
}

/** Why an install is needed, or undefined. npm notes what it has installed in node_modules/.package-lock.json. */
function whyInstall() {
  const wanted = lockedPackages("package-lock.json");
  const installed = lockedPackages("node_modules/.package-lock.json");
  if (installed === undefined) return "node_modules is missing";
  for (const [folder, entry] of Object.entries(wanted ?? {})) {
    // A package for another system is locked but never installed.
    if (installed[folder] === undefined && (entry.optional || entry.devOptional)) continue;
    if (installed[folder]?.version !== entry.version || installed[folder]?.integrity !== entry.integrity) {
      return `package-lock.json has another ${folder.replace(/^.*node_modules\//, "")}`;
    }
  }
  return undefined;
}

/** Quiet unless it fails. */
function npm(...npmArguments) {
  const command = process.platform === "win32" ? "npm.cmd" : "npm";
  const result = spawnSync(command, npmArguments, { cwd: root, encoding: "utf8", shell: command !== "npm" });
  if (result.status === 0) return;
  // npm puts the reason first and pages of usage behind it.
  const said = String(result.error ?? result.stderr + result.stdout).slice(0, 2000);
  console.error(`npm ${npmArguments.join(" ")} failed:\n${said}`);
  process.exit(1);
}

const why = whyInstall();
if (why !== undefined) {
  // Standard output is the script's.
  console.error(`Installing the dependencies (${why}), which takes about a minute`);
  npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error");
  // The one install script that is wanted: it puts Node 24 in its place. Older versions of npm run them all.
  npm("rebuild", "node", "--loglevel=error");
}
