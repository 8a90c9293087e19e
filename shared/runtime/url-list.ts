import { hideCredentials } from "./hide-credentials.ts";

/** The URLs of a text that names one or several, separated by commas. Spaces around them are no part of them. */
export function splitUrls(text: string): string[] {
  return text.split(",").map((url) => url.trim());
}

/** The same for two texts of one URL: its host in small letters, no port that is the scheme's own. */
export function urlForm(url: string): string {
  return URL.canParse(url) ? new URL(url).href : url;
}

/** Why the text names no URLs, each once; undefined when it does. */
export function problemOfUrls(text: string): string | undefined {
  const urls = splitUrls(text);
  if (urls.includes("")) return "has an empty entry";
  const split = urls.find((url) => /[\s;]/.test(url));
  if (split !== undefined)
    return `names ${JSON.stringify(hideCredentials(split))}, which is no URL: commas go between`;
  const forms = urls.map(urlForm);
  const twice = urls.find((_, index) => forms.indexOf(forms[index]!) < index);
  return twice === undefined ? undefined : `names ${JSON.stringify(hideCredentials(twice))} twice`;
}
