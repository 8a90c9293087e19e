/**
 * `npm start`: everything in one process, no server, no Docker, no account. Replays real purchases through the
 * service, shows what happens on a page and in the terminal, and lets its embedded Pulsar be broken.
 */
import { randomBytes } from "node:crypto";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { shutdownSignal } from "../../shared/runtime/lifecycle.ts";
import { readSettings, settingsHelp } from "../../shared/runtime/settings.ts";
import { startEmbedded } from "./embedded.ts";
import { embeddedSettings } from "./settings.ts";
import { cutOffText, drainedText } from "./status-text.ts";
import { createTerminal, createTerminalLog, PRINT_EVERY_MS, REWRITE_EVERY_MS, readKeys } from "./terminal.ts";

if (process.argv.includes("--help")) {
  console.log(`Keyline in one process, on an embedded Pulsar, an embedded SQS and profiles in memory.
Replays the purchases of 2,357 customers. On a terminal, b breaks and heals Pulsar, q ends.

Settings, from the environment:
${settingsHelp(embeddedSettings)}`);
  process.exit(0);
}

try {
  await run();
} catch (error) {
  const problem = problemInWords(error);
  if (problem === undefined) throw error;
  console.error(problem);
  process.exit(2);
}

async function run(): Promise<void> {
  const signal = shutdownSignal();
  const randomToken = randomBytes(18).toString("base64url");
  const given = process.env.ADMIN_TOKEN ?? "";
  const settings = readSettings(embeddedSettings, { ...process.env, ADMIN_TOKEN: given || randomToken });
  const terminal = createTerminal(process.stdout);
  const embedded = await startEmbedded({
    settings,
    log: createTerminalLog("embedded", settings.logLevel, terminal),
    // Whoever reaches the page may force the route then: only this machine, and no token that others use.
    pageToken: given === "" && isLoopback(settings.adminHost) ? randomToken : "",
    onStory: terminal.story,
  });
  const { demo, gateway } = embedded;
  terminal.print(`Keyline runs: ${embedded.url}`);
  terminal.print(`Send updates of tenant ${gateway.tenant} to ${gateway.url}: WRITE_KEY=${gateway.writeKey}`);
  if (given === "")
    terminal.print(
      `The token that may force the route, define audiences and change tenants: ADMIN_TOKEN=${randomToken}`,
    );

  const quit = Promise.withResolvers<string>();
  let quits = 0;
  const releaseKeys = readKeys(process.stdin, (key) => {
    if (key === "b") demo.pulsar().broken ? demo.healPulsar() : demo.breakPulsar();
    if (key !== "q") return;
    quits += 1;
    if (quits > 1) process.exit(1);
    quit.resolve("q");
  });
  const show = () => void demo.status().then(terminal.show);
  const showing = setInterval(show, process.stdout.isTTY ? REWRITE_EVERY_MS : PRINT_EVERY_MS);
  show();
  const failed = Promise.withResolvers<never>();
  embedded.replayed.catch(failed.reject);
  try {
    await Promise.race([signal, quit.promise, failed.promise]);
  } finally {
    clearInterval(showing);
    terminal.close();
    terminal.print(
      "Stopping: publishing no more, counting what is on the way. q or Ctrl-C again ends it at once.",
    );
    // The second time comes as a key or as a signal, and both exit.
    const sayCutOff = () => terminal.print(cutOffText(embedded.onTheWay()));
    process.once("exit", sayCutOff);
    terminal.print(drainedText(await embedded.close().finally(() => process.off("exit", sayCutOff))));
    releaseKeys();
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** What someone who just typed `npm start` can do about it; undefined for a defect. */
function problemInWords(error: unknown): string | undefined {
  return error instanceof KeylineError
    ? `${error.code}: ${error.message}\nSee --help for all settings.`
    : undefined;
}
