import { KeylineError } from "./errors.ts";
import { type Settings, settingsHelp } from "./settings.ts";

/**
 * Runs a service's program: with `--help` it says what it is and all its settings, and what the program was started
 * wrongly with is said in a line and the exit code 2.
 *
 * @param about such as `gateway: takes updates over HTTP`
 */
export async function runProgram(
  { about, settings }: { about: string; settings: Settings },
  run: () => Promise<void>,
): Promise<void> {
  if (process.argv.includes("--help")) {
    console.log(`${about}\n\nSettings, from the environment:\n${settingsHelp(settings)}`);
    process.exit(0);
  }
  try {
    await run();
  } catch (error) {
    if (!(error instanceof KeylineError)) throw error;
    console.error(`${error.code}: ${error.message}\nSee --help for all settings.`);
    process.exit(2);
  }
}
