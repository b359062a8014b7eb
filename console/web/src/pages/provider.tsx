// One account: its images, instances and leftovers; launching.
import { useEffect, useState } from "preact/hooks";
import type { Provider } from "../api/types";
import { driverText } from "../lib/clouds";
import { words } from "../lib/format";
import { go, href, route } from "../router";
import { deleteProvider, useDrivers } from "../state/providers";
import { canAdminister } from "../state/session";
import { cluster, loaded, providers, published } from "../state/store";
import { Alert, Button, Empty, Facts, Mono, PageHead, Panel, State, Time } from "../ui/basic";
import { Confirm } from "../ui/dialog";
import { LoadingRows } from "../ui/table";
import { Tabs } from "../ui/tabs";
import { ProviderForm } from "./provider-form";
import { PublishedImages } from "./provider-images";
import { Instances } from "./provider-instances";
import { Launch } from "./provider-launch";
import { Leftovers } from "./provider-leftovers";

const back = { href: href("providers"), text: "Providers" };

export function ProviderPage({ id }: { id: string }) {
  const provider = cluster.value.provider[id] ?? providers.value.find((p) => p.name === id);
  useDrivers();
  useEffect(() => {
    if (provider) document.title = `${provider.name} · Providers · Supercloud`;
  }, [provider?.name]);
  if (!provider)
    return (
      <>
        <PageHead title={loaded.value ? "No such provider" : "Provider"} back={back} />
        {loaded.value ? (
          <Empty icon="providers" title="This provider is gone" action={<a class="button primary" href={href("providers")}>See all providers</a>}>
            It was removed, or the address is wrong.
          </Empty>
        ) : (
          <LoadingRows />
        )}
      </>
    );
  return <Account provider={provider} />;
}

function Account({ provider }: { provider: Provider }) {
  const query = route.value.query;
  const tab = query.get("tab") ?? "images";
  const doing = canAdminister.value ? query.get("do") : null;
  const here = (more = "") => href("providers", provider.id, [tab === "images" ? "" : `tab=${tab}`, more].filter(Boolean).join("&"));
  const close = () => go(here());
  return (
    <>
      <PageHead
        back={back}
        title={
          <>
            {provider.name} <State state={provider.state} />
          </>
        }
        lead={`${driverText(provider.driver)}${provider.identity ? `, as ${provider.identity}` : ""}`}
      >
        {canAdminister.value && (
          <>
            <Button onClick={() => go(here("do=edit"))}>Edit</Button>
            <Button icon="trash" onClick={() => go(here("do=remove"))}>
              Remove
            </Button>
            <Button tone="primary" icon="play" onClick={() => go(here("do=launch"))}>
              Launch nodes
            </Button>
          </>
        )}
      </PageHead>
      {provider.error && <Alert>{provider.error}</Alert>}
      {provider.driver === "azure" && (
        <Alert tone="info">
          Xen cannot run on Azure: its nodes boot the plain kernel and run VMs in QEMU with KVM, on sizes with nested virtualisation.
        </Alert>
      )}
      <Tabs
        label={`About ${provider.name}`}
        tabs={[
          { value: "images", text: "Images" },
          { value: "instances", text: "Instances" },
          { value: "leftovers", text: "Leftovers" },
          { value: "settings", text: "Settings" },
        ]}
        value={tab}
        onValue={(t) => go(href("providers", provider.id, t === "images" ? "" : `tab=${t}`))}
      >
        {tab === "instances" ? (
          <Instances provider={provider} />
        ) : tab === "leftovers" ? (
          <Leftovers provider={provider} />
        ) : tab === "settings" ? (
          <Settings provider={provider} />
        ) : (
          <PublishedImages provider={provider} />
        )}
      </Tabs>
      {doing === "edit" && <ProviderForm provider={provider} onClose={close} onDone={close} />}
      {doing === "remove" && <RemoveProvider provider={provider} onClose={close} />}
      {doing === "launch" && (
        <Launch
          provider={provider}
          image={query.get("image") ?? ""}
          onClose={close}
          onDone={() => go(href("providers", provider.id, "tab=instances"))}
        />
      )}
    </>
  );
}

function Settings({ provider }: { provider: Provider }) {
  const secret = provider.has_secret ? "kept encrypted, never shown" : "none";
  return (
    <Panel class="narrow">
      <Facts
        items={[
          ["Kind", driverText(provider.driver)],
          ["Known there as", provider.identity],
          ...Object.entries(provider.config).map(([k, v]): [string, preact.ComponentChildren] => [
            words(k),
            <Mono>{typeof v === "string" ? v : JSON.stringify(v)}</Mono>,
          ]),
          ["Secret", secret],
          ["Tried", <Time at={provider.checked_at} />],
          ["Added", <Time at={provider.created_at} />],
          ["Id", <Mono>{provider.id}</Mono>],
        ]}
      />
    </Panel>
  );
}

function RemoveProvider({ provider, onClose }: { provider: Provider; onClose: () => void }) {
  const [force, setForce] = useState(false);
  const images = published.value.filter((i) => i.provider === provider.id).length;
  return (
    <Confirm
      title={`Remove ${provider.name}?`}
      submit={`Remove ${provider.name}`}
      onClose={onClose}
      onSubmit={async () => {
        await deleteProvider(provider, force);
        onClose();
        go(href("providers"));
      }}
    >
      <p>Its credential is forgotten. Nodes that were launched with it stay, as instances of the provider.</p>
      {images > 0 && <p>It has images here: delete them first, or they stay at the provider and are forgotten here.</p>}
      <label class="check">
        <input type="checkbox" checked={force} onChange={(e) => setForce(e.currentTarget.checked)} />
        <span>
          Forget what it still has, too
          <small>Images, instances and leftovers stay at the provider and go on costing.</small>
        </span>
      </label>
    </Confirm>
  );
}
