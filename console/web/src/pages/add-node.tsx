// "Add a node", two ways: user-data to paste in the provider's console, or
// launched here with an account that is known.
import { useEffect, useRef, useState } from "preact/hooks";
import { del, post } from "../api/client";
import type { UserData } from "../api/types";
import { directoryError, emailError, publicNameError } from "../lib/acme";
import { cloudOf, clouds, driverText, limitOf } from "../lib/clouds";
import { nameError } from "../lib/placement";
import { go, href } from "../router";
import { useDrivers } from "../state/providers";
import { nodes, providers } from "../state/store";
import { Alert, Button, CopyButton, Mono, State, Time } from "../ui/basic";
import { Dialog, FormDialog } from "../ui/dialog";
import { Segmented, SelectField, TextField } from "../ui/field";
import { saveText } from "../ui/save";
import { LoadingRows } from "../ui/table";
import { Tabs } from "../ui/tabs";
import { SizeBar } from "./size-bar";

type Way = "paste" | "launch";
type Format = "cloud-config" | "terraform";

const OTHER = "other";

const lifetimes = [
  { value: "3600", text: "1 hour" },
  { value: "86400", text: "1 day" },
  { value: "604800", text: "1 week" },
] as const;

export function AddNode({ onClose }: { onClose: () => void }) {
  const [way, setWay] = useState<Way>("paste");
  const [wanted, setWanted] = useState<Record<string, unknown> | null>(null);
  const [first, setFirst] = useState<UserData | null>(null);
  const ask = useQuestions();
  const account = useAccounts();
  const paste = way === "paste";
  if (first && wanted) return <Result params={wanted} first={first} onClose={onClose} />;
  return (
    <FormDialog
      title="Add a node"
      submit={paste ? "Make the user-data" : account.submit}
      onClose={onClose}
      onSubmit={async () => {
        if (!paste) return go(account.to);
        setFirst(await post<UserData>("/nodes/user-data", { ...ask.params, format: "cloud-config" }));
        setWanted(ask.params);
      }}
    >
      <Segmented
        label="How?"
        value={way}
        onValue={setWay}
        options={[
          { value: "paste", text: "I paste its user-data" },
          { value: "launch", text: "Launch it for me" },
        ]}
      />
      {paste ? ask.body : account.body}
    </FormDialog>
  );
}

/** What the user-data is made of: the fields, and the request they amount to. */
function useQuestions() {
  const before = nodes.value[0]?.provider ?? "ec2";
  const [cloud, setCloud] = useState(cloudOf(before)?.value ?? OTHER);
  const [other, setOther] = useState(cloudOf(before) ? "" : before);
  const [role, setRole] = useState<"node" | "controller">("node");
  const [region, setRegion] = useState("");
  const [name, setName] = useState("");
  const [hypervisor, setHypervisor] = useState("");
  const [many, setMany] = useState<"1" | "0">("1");
  const [publicName, setPublicName] = useState("");
  const [email, setEmail] = useState("");
  const [directory, setDirectory] = useState("");
  const [ttl, setTtl] = useState<(typeof lifetimes)[number]["value"]>("86400");
  const known = cloudOf(cloud);
  const azure = cloud === "azure";
  const provider = known ? known.value : other;
  const place = (text: string, what: string) => (text === "" ? `Which ${what}?` : nameError(text));
  const params: Record<string, unknown> = {
    region,
    provider,
    ...(role === "controller"
      ? {
          role,
          ...(publicName ? { console_name: publicName } : {}),
          ...(publicName && email ? { acme_email: email } : {}),
          ...(publicName && directory ? { acme_directory: directory } : {}),
        }
      : { ttl_s: Number(ttl), uses: Number(many) }),
    ...(azure ? { hypervisor: "qemu" } : hypervisor ? { hypervisor } : {}),
    ...(name && (many === "1" || role === "controller") ? { name } : {}),
  };
  const body = (
    <>
      <div class="fields-2">
        <SelectField
          label="Provider"
          value={cloud}
          onValue={setCloud}
          options={[...clouds.map((c) => ({ value: c.value, text: c.text })), { value: OTHER, text: "Another" }]}
          first
        />
        <SelectField
          label="Role"
          value={role}
          onValue={(v) => setRole(v as typeof role)}
          options={[
            { value: "node", text: "A node of this cloud" },
            { value: "controller", text: "Controller of a new cloud" },
          ]}
        />
      </div>
      {!known && (
        <TextField label="Its name" value={other} onValue={setOther} autocapitalize="none" error={place(other, "provider")} />
      )}
      {known?.note && <Alert tone="info">{known.note}</Alert>}
      <div class="fields-2">
        <TextField
          label="Region"
          value={region}
          onValue={setRegion}
          placeholder={known?.region ?? "eu-central"}
          autocapitalize="none"
          suggestions={[...new Set(nodes.value.map((n) => n.region))]}
          error={place(region, "region")}
        />
        {azure ? (
          <SelectField label="Hypervisor" value="qemu" onValue={() => {}} options={[{ value: "qemu", text: "QEMU with KVM" }]} />
        ) : (
          <SelectField
            label="Hypervisor"
            value={hypervisor}
            onValue={setHypervisor}
            options={[
              { value: "", text: "Xen if it boots, else QEMU" },
              { value: "xen", text: "Xen" },
              { value: "qemu", text: "QEMU" },
            ]}
          />
        )}
      </div>
      {role === "node" && (
        <div class="side-by-side">
          <Segmented
            label="Good for"
            value={many}
            onValue={setMany}
            options={[
              { value: "1", text: "One node" },
              { value: "0", text: "Any number of nodes" },
            ]}
          />
          <Segmented label="Valid for" value={ttl} onValue={setTtl} options={[...lifetimes]} />
        </div>
      )}
      {(many === "1" || role === "controller") && (
        <TextField
          label="Name"
          optional
          value={name}
          onValue={setName}
          autocapitalize="none"
          placeholder="The instance’s own"
          error={name === "" ? null : nameError(name, nodes.value.map((n) => n.name))}
        />
      )}
      {role === "controller" && (
        <>
          <TextField
            label="Public name of its dashboard"
            optional
            value={publicName}
            onValue={setPublicName}
            inputMode="url"
            autocapitalize="none"
            placeholder="cloud.example.org"
            error={publicNameError(publicName)}
            hint="It gets a certificate for this name, if the name leads to it and port 80 is open. Without one, compare the fingerprint on its serial console."
          />
          {publicName !== "" && (
            <div class="fields-2">
              <TextField
                label="E-mail"
                optional
                value={email}
                onValue={setEmail}
                inputMode="email"
                autocapitalize="none"
                placeholder="you@example.org"
                error={emailError(email)}
                hint="Whom the issuer writes to."
              />
              <TextField
                label="ACME directory"
                optional
                value={directory}
                onValue={setDirectory}
                inputMode="url"
                autocapitalize="none"
                placeholder="Let’s Encrypt’s"
                error={directoryError(directory)}
                hint="URL of another issuer."
              />
            </div>
          )}
        </>
      )}
    </>
  );
  return { params, body };
}

const formats: Record<Format, { text: string; file: string; type: string }> = {
  "cloud-config": { text: "cloud-config", file: "user-data.yaml", type: "text/yaml" },
  terraform: { text: "Terraform", file: "supercloud-node.tf", type: "text/plain" },
};

/** The text in each format.  Each is made when it is first looked at, with a
 * join token of its own; tokens of texts that nobody took are revoked. */
function Result({ params, first, onClose }: { params: Record<string, unknown>; first: UserData; onClose: () => void }) {
  const [format, setFormat] = useState<Format>("cloud-config");
  const [made, setMade] = useState<Partial<Record<Format, UserData>>>({ "cloud-config": first });
  const [error, setError] = useState<string | null>(null);
  const taken = useRef(new Set<Format>());
  const drivers = useDrivers() ?? [];
  const provider = String(params.provider);
  const cloud = cloudOf(provider);
  const now = made[format];
  useEffect(() => {
    if (made[format]) return;
    let gone = false;
    setError(null);
    post<UserData>("/nodes/user-data", { ...params, format }).then(
      (r) => gone || setMade((m) => ({ ...m, [format]: r })),
      (e: Error) => gone || setError(e.message),
    );
    return () => {
      gone = true;
    };
  }, [format]);
  const close = () => {
    if (taken.current.size > 0)
      for (const [f, m] of Object.entries(made))
        if (m.token_id && !taken.current.has(f as Format)) del(`/tokens/${encodeURIComponent(m.token_id)}`).catch(() => {});
    onClose();
  };
  const take = () => taken.current.add(format);
  const download = () => {
    if (!now) return;
    saveText(formats[format].file, now.user_data, formats[format].type);
    take();
  };
  const limit = now?.limit || limitOf(provider, drivers);
  return (
    <Dialog title={`User-data for ${String(params.region)}`} onClose={close} wide>
      <div class="dialog-body">
        <p class="dialog-lead">
          Start an instance of our image at <strong>{cloud?.text ?? provider}</strong> with this as its user-data. It{" "}
          {params.role === "controller" ? "becomes the controller of a cloud of its own" : "joins by itself within a minute or two and appears on the Nodes page"}
          .
        </p>
        <Tabs
          label="Format"
          tabs={Object.entries(formats).map(([value, f]) => ({ value, text: f.text }))}
          value={format}
          onValue={(v) => setFormat(v as Format)}
        >
          <div class="result-panel">
            {now ? (
              <textarea
                class="user-data mono"
                readOnly
                rows={11}
                aria-label="User-data"
                data-first=""
                value={now.user_data}
                onFocus={(e) => e.currentTarget.select()}
                onCopy={take}
              />
            ) : error ? (
              <Alert>{error}</Alert>
            ) : (
              <LoadingRows n={3} />
            )}
            {now && <SizeBar size={now.size ?? new TextEncoder().encode(now.user_data).length} limit={limit} />}
          </div>
        </Tabs>
        {cloud && format === "cloud-config" && (
          <Alert tone="info">
            <strong>Where it goes:</strong> {cloud.where}
          </Alert>
        )}
        {format === "terraform" && (
          <p class="field-hint">
            Use it as the <Mono>user_data</Mono> of your own resource (Azure: <Mono>custom_data</Mono>; GCE: <Mono>metadata</Mono>).
          </p>
        )}
        {cloud?.note && <p class="field-hint">{cloud.note}</p>}
        {now && !!now.expires_at && (
          <p class="field-hint">
            Expires <Time at={now.expires_at} />. It holds a secret that is shown only now.
          </p>
        )}
      </div>
      <footer class="dialog-foot">
        <Button onClick={close}>Done</Button>
        <Button icon="download" disabled={!now} onClick={download}>
          Download
        </Button>
        <CopyButton key={format} tone="primary" text={now?.user_data ?? ""} label="Copy the user-data" onCopied={take} />
      </footer>
    </Dialog>
  );
}

/** With which account it is launched, and where that goes on. */
function useAccounts() {
  const list = providers.value;
  const [wanted, setPicked] = useState("");
  const picked = list.find((p) => p.id === wanted) ?? list.find((p) => p.state === "ok") ?? list[0];
  if (!picked)
    return {
      submit: "Add a provider",
      to: href("providers", null, "new=1"),
      body: (
        <Alert tone="info">
          For this the controller needs an account at a cloud. Add a provider first; its credential is tried, and stored encrypted.
        </Alert>
      ),
    };
  return {
    submit: "Choose type and price",
    to: href("providers", picked.id, "tab=instances&do=launch"),
    body: (
      <fieldset class="choices">
        <legend>With which account?</legend>
        {list.map((p) => (
          <label key={p.id} class={`choice${p === picked ? " on" : ""}`}>
            <input type="radio" name="account" value={p.id} checked={p === picked} onChange={() => setPicked(p.id)} />
            <span class="choice-main">
              <strong>{p.name}</strong>
              <span>
                {driverText(p.driver)}
                {p.identity && `, ${p.identity}`}
              </span>
            </span>
            <span class="choice-side">
              <State state={p.state} />
            </span>
          </label>
        ))}
      </fieldset>
    ),
  };
}
