import { KeylineError } from "../../runtime/errors.ts";

export type NativeLibrary = typeof import("pulsar-client");

/**
 * Loads the official client, whose native part need not be there.
 *
 * @throws KeylineError `pulsar_native_unavailable`, with what to do about it
 */
export async function loadNativeLibrary(): Promise<NativeLibrary> {
  try {
    const module = (await import("pulsar-client")) as NativeLibrary & { default: NativeLibrary };
    return module.default;
  } catch (cause) {
    throw new KeylineError(
      "pulsar_native_unavailable",
      "pulsar-client or its native part is not installed: `npm install pulsar-client` with its install script " +
        "allowed (in the image: --build-arg PULSAR_NATIVE=true), or use a ws:// address, which needs no native part",
      { cause },
    );
  }
}
