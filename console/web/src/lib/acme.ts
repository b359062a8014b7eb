// What the user-data of a controller takes for the dashboard's public name, as
// cloud-init/schema-supercloud.json says it.  Pure; null: nothing is wrong, and
// an empty text is "not given".

const LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const NAME = new RegExp(`^${LABEL}(\\.${LABEL})+$`);

export function publicNameError(text: string): string | null {
  if (text === "" || (text.length <= 253 && NAME.test(text))) return null;
  return "Write it in lower case, like cloud.example.org.";
}

export function emailError(text: string): string | null {
  return text === "" || /^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}$/.test(text) ? null : "Write it like you@example.org.";
}

export function directoryError(text: string): string | null {
  return text === "" || /^https:\/\/[!-~]{1,500}$/.test(text) ? null : "Write an https:// URL.";
}
