// Adding and editing an account: a form made of the driver's own fields.
// Secrets go out once and never come back.
import { useState } from "preact/hooks";
import type { Driver, DriverField, Provider } from "../api/types";
import { driverText } from "../lib/clouds";
import { words } from "../lib/format";
import { nameError } from "../lib/placement";
import { say } from "../state/notices";
import { createProvider, driversError, loadDrivers, updateProvider, useDrivers } from "../state/providers";
import { providers } from "../state/store";
import { Alert, Button } from "../ui/basic";
import { Dialog, FormDialog } from "../ui/dialog";
import { AreaField, SelectField, TextField } from "../ui/field";
import { LoadingRows } from "../ui/table";

/** Key files are pasted, not typed. */
const isText = (f: DriverField): boolean => /\b(JSON|PEM|key file)\b/i.test(f.about);

/** What only other clouds than the usual one need; folded away. */
const isRare = (f: DriverField): boolean =>
  !f.required && !f.secret && /endpoint|^ca_file$|_ms$|^(interface|container|prices|flavor|network|external_network|emulator|firmware|wan)$|domain$/.test(f.name);

/** Settings in words; some stay as they are written elsewhere. */
const title = (name: string): string => words(name).replace(/\b(url|id|api|ca)\b/gi, (w) => (w.toLowerCase() === "id" ? "id" : w.toUpperCase()));

export function ProviderForm({
  provider,
  onClose,
  onDone,
}: {
  provider?: Provider; // To be edited; absent: a new one.
  onClose: () => void;
  onDone: (p: Provider) => void;
}) {
  const list = useDrivers();
  const heading = provider ? `Edit ${provider.name}` : "Add a provider";
  if (!list)
    return (
      <Dialog title={heading} onClose={onClose}>
        <div class="dialog-body">
          {driversError.value ? (
            <Alert action={<Button small onClick={() => void loadDrivers()}>Try again</Button>}>{driversError.value}</Alert>
          ) : (
            <LoadingRows n={3} />
          )}
        </div>
      </Dialog>
    );
  return <Form list={list} heading={heading} {...(provider ? { provider } : {})} onClose={onClose} onDone={onDone} />;
}

function Form({
  list,
  heading,
  provider,
  onClose,
  onDone,
}: {
  list: Driver[];
  heading: string;
  provider?: Provider;
  onClose: () => void;
  onDone: (p: Provider) => void;
}) {
  const [name, setName] = useState("");
  const [driver, setDriver] = useState(provider?.driver ?? list[0]?.name ?? "");
  const [values, setValues] = useState<Record<string, string>>(() =>
    Object.fromEntries(Object.entries(provider?.config ?? {}).map(([k, v]) => [k, typeof v === "string" ? v : JSON.stringify(v)])),
  );
  const d = list.find((x) => x.name === driver);
  const fields = d?.fields ?? [];
  const set = (key: string, value: string) => setValues((v) => ({ ...v, [key]: value }));
  const filled = (secret: boolean) =>
    Object.fromEntries(
      fields
        .filter((f) => f.secret === secret && (values[f.name] ?? "").trim() !== "")
        .map((f) => [f.name, valueOf(f)]),
    );
  const valueOf = (f: DriverField): unknown => {
    const text = values[f.name]!;
    const before = provider?.config[f.name];
    // What is no text stays what it was, unless it was changed.
    if (before !== undefined && typeof before !== "string" && JSON.stringify(before) === text) return before;
    if (/_(ms|s|mib|gib)$/.test(f.name) && /^\s*\d+\s*$/.test(text)) return Number(text);
    // A key file keeps its line ends; others lose the spaces of pasting.
    return isText(f) ? text : text.trim();
  };
  const submit = async () => {
    const secret = filled(true);
    if (provider) {
      await updateProvider(provider, { config: filled(false), ...(Object.keys(secret).length > 0 ? { secret } : {}) });
      say(`${provider.name} is changed`);
      onDone(provider);
      return;
    }
    const p = await createProvider({ name, driver, config: filled(false), secret });
    say(`${p.name} is added${p.identity ? `: ${p.identity}` : ""}`);
    onDone(p);
  };
  // The API takes all secrets or none: what is left out then would be lost.
  const anySecret = fields.some((f) => f.secret && (values[f.name] ?? "").trim() !== "");
  const error = (f: DriverField): string | null => {
    const empty = (values[f.name] ?? "").trim() === "";
    const kept = f.secret && provider?.has_secret && !anySecret;
    return f.required && empty && !kept ? "This is needed." : null;
  };
  const field = (f: DriverField) => {
    const hint = f.secret && provider?.has_secret ? `${f.about}. ${fields.filter((x) => x.secret).length > 1 ? "If all secrets are left empty, they stay; if one is given, give all." : "Left empty, the present one stays."}` : f.about;
    const common = {
      label: title(f.name),
      hint,
      optional: !f.required,
      value: values[f.name] ?? "",
      onValue: (v: string) => set(f.name, v),
      error: error(f),
    };
    return f.secret && isText(f) ? (
      <AreaField key={`${driver}.${f.name}`} {...common} secret />
    ) : (
      <TextField
        key={`${driver}.${f.name}`}
        {...common}
        autocapitalize="none"
        {...(f.secret ? { type: "password" as const, autocomplete: "new-password" } : {})}
      />
    );
  };
  return (
    <FormDialog title={heading} submit={provider ? "Try and save" : "Try and add"} onClose={onClose} onSubmit={submit} disabled={!d}>
      {!provider && (
        <div class="fields-2">
          <SelectField
            label="Kind"
            value={driver}
            onValue={(v) => {
              setDriver(v);
              setValues({});
            }}
            options={list.map((x) => ({ value: x.name, text: driverText(x.name) }))}
            first
          />
          <TextField
            label="Name"
            value={name}
            onValue={setName}
            maxLength={63}
            autocapitalize="none"
            placeholder={driver}
            error={nameError(name, providers.value.map((p) => p.name))}
          />
        </div>
      )}
      {d && d.about !== driverText(d.name) && <p class="dialog-lead">{d.about}.</p>}
      {fields.filter((f) => !isRare(f)).map(field)}
      {fields.some(isRare) && (
        <details class="more rare">
          <summary>More settings</summary>
          {fields.filter(isRare).map(field)}
        </details>
      )}
      <p class="field-hint">
        The credential is tried at the provider first; a wrong one is not kept. Secrets are stored encrypted and are never shown
        again.
      </p>
      {d?.permissions && d.permissions !== "none" && (
        <details class="more">
          <summary>The least it has to be allowed</summary>
          <p class="permissions mono">{d.permissions}</p>
        </details>
      )}
    </FormDialog>
  );
}
