import { createPulsarNative } from "../../shared/adapters/pulsar-native/pulsar-native.ts";

/** The native part of pulsar-client is not on every machine. */
export async function nativeIsInstalled(): Promise<boolean> {
  try {
    const queue = await createPulsarNative({ url: "pulsar://127.0.0.1:1" });
    await queue.close();
    return true;
  } catch {
    return false;
  }
}
