// Labelled form fields.  An error is shown once the user has left the field
// or tried to submit, and is tied to the field for screen readers.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { bytes } from "../lib/format";
import { Icon } from "./icons";

interface Common {
  label: string;
  hint?: ComponentChildren;
  error?: string | null;
  optional?: boolean;
}

function useField({ hint, error }: Common) {
  const id = useId();
  const [touched, setTouched] = useState(false);
  const show = !!error && touched;
  return {
    id,
    show,
    touch: () => setTouched(true),
    described: [hint ? `${id}-hint` : "", show ? `${id}-error` : ""].filter(Boolean).join(" ") || undefined,
  };
}

function Frame({
  field,
  common,
  children,
}: {
  field: ReturnType<typeof useField>;
  common: Common;
  children: ComponentChildren;
}) {
  return (
    <div class="field">
      <label for={field.id}>
        {common.label}
        {common.optional && <span class="optional">optional</span>}
      </label>
      {children}
      {field.show && (
        <p class="field-error" id={`${field.id}-error`}>
          {common.error}
        </p>
      )}
      {common.hint && (
        <p class="field-hint" id={`${field.id}-hint`}>
          {common.hint}
        </p>
      )}
    </div>
  );
}

type InputProps = Common & {
  value: string;
  onValue: (v: string) => void;
  suffix?: string;
  suggestions?: string[];
  name?: string;
  type?: "text" | "password";
  inputMode?: "numeric" | "decimal" | "url" | "email";
  autocomplete?: string;
  autocapitalize?: "none";
  maxLength?: number;
  placeholder?: string;
  "data-first"?: string;
};

export function TextField({
  label,
  hint,
  error,
  optional,
  value,
  onValue,
  suffix,
  suggestions,
  type = "text",
  autocomplete = "off",
  ...rest
}: InputProps) {
  const common: Common = { label, hint, error: error ?? null, optional: !!optional };
  const field = useField(common);
  const kind = suggestions
    ? { type: "text" as const, list: `${field.id}-list` }
    : type === "password"
      ? { type: "password" as const }
      : { type: "text" as const };
  return (
    <Frame field={field} common={common}>
      <div class={`input${suffix ? " with-suffix" : ""}`}>
        <input
          {...rest}
          {...kind}
          autocomplete={autocomplete}
          spellcheck={false}
          id={field.id}
          value={value}
          aria-invalid={error ? "true" : undefined}
          aria-describedby={field.described}
          onInput={(e) => onValue(e.currentTarget.value)}
          onBlur={() => value !== "" && field.touch()}
          onInvalid={() => field.touch()}
        />
        {suffix && (
          <span class="suffix" aria-hidden="true">
            {suffix}
          </span>
        )}
      </div>
      {suggestions && (
        <datalist id={`${field.id}-list`}>
          {suggestions.map((s) => (
            <option key={s} value={s} />
          ))}
        </datalist>
      )}
    </Frame>
  );
}

/** Several lines, such as a key file's text; 'secret' shows dots. */
export function AreaField({
  label,
  hint,
  error,
  optional,
  value,
  onValue,
  rows = 4,
  secret,
}: Common & { value: string; onValue: (v: string) => void; rows?: number; secret?: boolean }) {
  const common: Common = { label, hint, error: error ?? null, optional: !!optional };
  const field = useField(common);
  return (
    <Frame field={field} common={common}>
      <textarea
        class={`area mono${secret ? " secret" : ""}`}
        rows={rows}
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        id={field.id}
        value={value}
        aria-invalid={error ? "true" : undefined}
        aria-describedby={field.described}
        onInput={(e) => onValue(e.currentTarget.value)}
        onBlur={() => value !== "" && field.touch()}
        onInvalid={() => field.touch()}
      />
    </Frame>
  );
}

export interface Option {
  value: string;
  text: string;
  disabled?: boolean;
  group?: string;
}

export function SelectField({
  label,
  hint,
  error,
  optional,
  value,
  onValue,
  options,
  first,
}: Common & {
  value: string;
  onValue: (v: string) => void;
  options: Option[];
  first?: boolean;
}) {
  const common: Common = { label, hint, error: error ?? null, optional: !!optional };
  const field = useField(common);
  const groups = [...new Set(options.map((o) => o.group ?? ""))];
  const list = (g: string) =>
    options
      .filter((o) => (o.group ?? "") === g)
      .map((o) => (
        <option key={o.value} value={o.value} disabled={!!o.disabled} selected={o.value === value}>
          {o.text}
        </option>
      ));
  return (
    <Frame field={field} common={common}>
      <div class="input select">
        <select
          id={field.id}
          value={value}
          data-first={first ? "" : undefined}
          aria-invalid={error ? "true" : undefined}
          aria-describedby={field.described}
          onChange={(e) => onValue(e.currentTarget.value)}
          onBlur={field.touch}
        >
          {groups.map((g) =>
            g === "" ? (
              list(g)
            ) : (
              <optgroup key={g} label={g}>
                {list(g)}
              </optgroup>
            ),
          )}
        </select>
      </div>
    </Frame>
  );
}

/** A few choices side by side, as radio buttons. */
export function Segmented<T extends string>({
  label,
  value,
  onValue,
  options,
  hidden,
}: {
  label: string;
  value: T;
  onValue: (v: T) => void;
  options: { value: T; text: string }[];
  hidden?: boolean; // The label is for screen readers only.
}) {
  const name = useId();
  return (
    <fieldset class="segmented-field">
      <legend class={hidden ? "hidden" : ""}>{label}</legend>
      <div class="segmented">
        {options.map((o) => (
          <label key={o.value} class={o.value === value ? "on" : ""}>
            <input
              type="radio"
              name={name}
              value={o.value}
              checked={o.value === value}
              onChange={() => onValue(o.value)}
            />
            <span>{o.text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

/** A file: chosen, or dropped.  'missing' marks it and takes the focus there. */
export function FileDrop({
  file,
  onFile,
  missing,
  lead,
  note,
  accept,
  first,
}: {
  file: File | null;
  onFile: (f: File) => void;
  missing: boolean;
  lead: string;
  note: string;
  accept?: string;
  first?: boolean;
}) {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const pick = (f: File | undefined) => f && onFile(f);
  useEffect(() => {
    if (missing) input.current?.focus();
  }, [missing]);
  return (
    <label
      class={`drop${over ? " over" : ""}${missing ? " missing" : ""}`}
      onDragOver={(e) => {
        e.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(e) => {
        e.preventDefault();
        setOver(false);
        pick(e.dataTransfer?.files[0]);
      }}
    >
      <input
        ref={input}
        type="file"
        class="hidden"
        accept={accept}
        data-first={first ? "" : undefined}
        onChange={(e) => pick(e.currentTarget.files?.[0])}
      />
      <Icon name={file ? "check" : "upload"} size={22} />
      {file ? (
        <span>
          <strong>{file.name}</strong>
          <small>{bytes(file.size)}: choose another</small>
        </span>
      ) : (
        <span>
          <strong>{lead}</strong>
          <small>{note}</small>
        </span>
      )}
    </label>
  );
}
