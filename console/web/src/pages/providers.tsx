// Accounts at infrastructure clouds, as cards; the page of one is provider.tsx.
import { plural } from "../lib/format";
import { driverText } from "../lib/clouds";
import type { Provider } from "../api/types";
import { go, href, route } from "../router";
import { canAdminister } from "../state/session";
import { loaded, nodes, providers, published } from "../state/store";
import { Alert, Button, Empty, PageHead, State, Time } from "../ui/basic";
import { LoadingRows } from "../ui/table";
import { ProviderForm } from "./provider-form";

export function ProvidersPage() {
  const adding = route.value.query.get("new") === "1" && canAdminister.value && loaded.value;
  const add = canAdminister.value && (
    <Button tone="primary" icon="plus" onClick={() => go(href("providers", null, "new=1"))}>
      Add a provider
    </Button>
  );
  return (
    <>
      <PageHead title="Providers" lead="Your accounts at infrastructure clouds: their images, their instances, their prices.">
        {add}
      </PageHead>
      {!loaded.value ? (
        <LoadingRows n={2} />
      ) : providers.value.length === 0 ? (
        <Empty icon="providers" title="No providers yet" action={add}>
          {canAdminister.value
            ? "With an account at a cloud, images are published and nodes are launched from here. Without one, start an instance in the provider’s own console and paste the user-data that the Nodes page makes."
            : "An administrator adds providers."}
        </Empty>
      ) : (
        <div class="cards">
          {providers.value.map((p) => (
            <ProviderCard key={p.id} provider={p} />
          ))}
        </div>
      )}
      {adding && <ProviderForm onClose={() => go(href("providers"))} onDone={(p) => go(href("providers", p.id))} />}
    </>
  );
}

function ProviderCard({ provider }: { provider: Provider }) {
  const images = published.value.filter((i) => i.provider === provider.id);
  const active = images.filter((i) => i.state === "active").length;
  return (
    <article class={`card provider-card${provider.state === "failed" ? " bad" : ""}`} aria-label={`Provider ${provider.name}`}>
      <header>
        <div class="two">
          <h2>
            <a href={href("providers", provider.id)}>{provider.name}</a>
          </h2>
          <small>{driverText(provider.driver)}</small>
        </div>
        <State state={provider.state} />
      </header>
      {provider.error && <Alert tone="warn">{provider.error}</Alert>}
      <dl class="provider-facts">
        <div>
          <dt>Known there as</dt>
          <dd>{provider.identity || <span class="dim">not tried</span>}</dd>
        </div>
        <div>
          <dt>Images</dt>
          <dd>{images.length === 0 ? <span class="dim">none</span> : `${active} of ${images.length} ready`}</dd>
        </div>
        <div>
          <dt>Nodes there</dt>
          <dd>{nodes.value.filter((n) => n.provider === provider.driver || n.provider === provider.name).length}</dd>
        </div>
        <div>
          <dt>Tried</dt>
          <dd>
            <Time at={provider.checked_at} />
          </dd>
        </div>
      </dl>
      <footer>
        <a href={href("providers", provider.id, "tab=images")}>{plural(images.length, "image")}</a>
        <a href={href("providers", provider.id, "tab=instances")}>Instances</a>
        <a href={href("providers", provider.id, "tab=leftovers")}>Leftovers</a>
      </footer>
    </article>
  );
}
