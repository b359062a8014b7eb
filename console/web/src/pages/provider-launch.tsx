// "Launch it for me": instances of our image that join as nodes.
import { useState } from "preact/hooks";
import { get, post } from "../api/client";
import type { InstanceType, Job, Price, Provider } from "../api/types";
import { launchNames, limitOf, ownRegion, parsePorts, parseSources, type Rule, userDataEstimate } from "../lib/clouds";
import { plural, usd } from "../lib/format";
import { nameError, numberError } from "../lib/placement";
import { egressOf, maxPriceError, offersOf, priceOf } from "../lib/prices";
import { href } from "../router";
import { driverOf, providerPath, tookJob, useRemote } from "../state/providers";
import { nodes, published } from "../state/store";
import { Alert, Button } from "../ui/basic";
import { FormDialog } from "../ui/dialog";
import { Segmented, SelectField, TextField } from "../ui/field";
import { FirewallFields, firewallError, presetRules, type RuleText } from "./launch-firewall";
import { TypeTable } from "./launch-types";
import { SizeBar } from "./size-bar";

const OTHER = "other";

export function Launch({ provider, image: wanted, onClose, onDone }: { provider: Provider; image: string; onClose: () => void; onDone: () => void }) {
  const images = published.value.filter((i) => i.provider === provider.id && i.state === "active");
  const first = images.find((i) => i.id === wanted) ?? images[0];
  const [imageId, setImage] = useState(first?.id ?? OTHER);
  const [foreign, setForeign] = useState("");
  const [name, setName] = useState("");
  const [count, setCount] = useState("1");
  const [typeName, setType] = useState("");
  const [spot, setSpot] = useState<"no" | "yes">("no");
  const [max, setMax] = useState("");
  const [zone, setZone] = useState("");
  const [disk, setDisk] = useState("");
  const [rules, setRules] = useState<RuleText[]>(presetRules());
  const regions = useRemote((s) => get<{ regions: string[] }>(`${providerPath(provider)}/regions`, s), provider.id);
  const image = images.find((i) => i.id === imageId);
  const own = ownRegion(provider.config);
  const [picked, setRegion] = useState("");
  // An image is in one region, and its instances are where it is.
  const region = image?.region ?? (picked || own || (regions.data?.regions[0] ?? ""));
  const query = `region=${encodeURIComponent(region)}`;
  const market = useRemote(async (s) => {
    if (!region) return null;
    const [t, p] = await Promise.all([
      get<{ types: InstanceType[] }>(`${providerPath(provider)}/types?${query}`, s),
      // Not every provider has prices; that is no reason not to launch.
      get<{ prices: Price[] }>(`${providerPath(provider)}/prices?${query}`, s).then(
        (r) => ({ prices: r.prices, error: null as string | null }),
        (e: Error) => {
          if (s.aborted) throw e;
          return { prices: [] as Price[], error: e.message };
        },
      ),
    ]);
    return { offers: offersOf(t.types, p.prices), egress: egressOf(p.prices), error: p.error };
  }, `${provider.id} ${region}`);
  const offers = market.data?.offers ?? [];
  const isSpot = spot === "yes";
  const usable = offers
    .filter((o) => (provider.driver === "azure" ? o.nested_virtualisation : o.xen) && (!isSpot || o.spot !== null || o.onDemand === null))
    .sort((a, b) => (priceOf(a, isSpot) ?? Infinity) - (priceOf(b, isSpot) ?? Infinity) || a.memory_mib - b.memory_mib);
  const offer = offers.find((o) => o.name === typeName) ?? usable[0] ?? offers[0];
  const hasSpot = offers.some((o) => o.spot !== null);
  const n = Math.max(1, Number(count) || 1);
  const each = offer ? priceOf(offer, isSpot) : null;
  const limit = limitOf(provider.driver, driverOf(provider.driver) ? [driverOf(provider.driver)!] : []);
  const names = launchNames(name, n);
  const taken = nodes.value.map((x) => x.name);
  const clash = names.find((x) => taken.includes(x));
  const nameWrong = nameError(name) ?? (clash ? `There is already a node called ${clash}.` : null);
  const cannot = offer && !offer.xen && provider.driver !== "azure";

  const submit = async () => {
    const list: Rule[] = rules.flatMap((r) => {
      const [from, to] = parsePorts(r.ports)!;
      return parseSources(r.sources)!.map((cidr) => ({ protocol: r.protocol, port_from: from, port_to: to, cidr }));
    });
    const r = await post<{ job?: Job }>(`${providerPath(provider)}/launch`, {
      name,
      region,
      ...(zone.trim() ? { zone: zone.trim() } : {}),
      ...(offer ? { type: offer.name } : {}),
      image: image?.id ?? foreign.trim(),
      count: n,
      ...(isSpot ? { spot: true, ...(max.trim() ? { max_price: Number(max) } : {}) } : {}),
      ...(disk ? { disk_gib: Number(disk) } : {}),
      rules: list,
    });
    tookJob(r);
    onDone();
  };

  const cost = each === null ? null : each * n;
  return (
    <FormDialog
      title={`Launch nodes at ${provider.name}`}
      submit={`Launch ${n === 1 ? "it" : plural(n, "instance")}${cost === null ? "" : ` for ${isSpot ? "about " : ""}${usd(cost)} an hour`}`}
      onClose={onClose}
      onSubmit={submit}
      disabled={!region || (market.loading && !market.data) || firewallError(rules) !== null}
      huge
    >
      {images.length === 0 && (
        <Alert tone="info" action={<a class="button small" href={href("providers", provider.id, "do=publish")}>Publish one</a>}>
          No image of ours is published here yet. You can name one that you have uploaded yourself.
        </Alert>
      )}
      <div class="fields-3">
        <TextField
          label="Name"
          value={name}
          onValue={setName}
          maxLength={60}
          autocapitalize="none"
          placeholder={region ? `${region}-1` : ""}
          hint={n > 1 ? `${names[0] || "name-1"} to ${names[n - 1] || `name-${n}`}` : undefined}
          error={nameWrong}
          data-first=""
        />
        <SelectField
          label="Image"
          value={imageId}
          onValue={setImage}
          options={[...images.map((i) => ({ value: i.id, text: `${i.name} (${i.region})` })), { value: OTHER, text: "Another, by its id" }]}
        />
        <TextField label="How many" value={count} onValue={setCount} inputMode="numeric" error={numberError(count, 1, 32, "")} />
      </div>
      {!image && (
        <div class="fields-2">
          <TextField
            label="Id of the image at the provider"
            value={foreign}
            onValue={setForeign}
            autocapitalize="none"
            error={foreign.trim() === "" ? "Which image?" : null}
          />
          <SelectField
            label="Region"
            value={region}
            onValue={(v) => {
              setRegion(v);
              setType("");
            }}
            options={
              regions.data
                ? regions.data.regions.map((r) => ({ value: r, text: r }))
                : [{ value: region, text: region || (regions.error ? "Not known" : "Asking the provider…") }]
            }
          />
        </div>
      )}
      {regions.error && <Alert tone="warn">{regions.error}</Alert>}
      <Segmented
        label="How it is paid"
        value={spot}
        onValue={setSpot}
        options={[
          { value: "no", text: "On demand" },
          { value: "yes", text: "Spot" },
        ]}
      />
      {isSpot && (
        <div class="fields-2">
          <TextField
            label="Maximum price"
            optional
            suffix="$/h"
            inputMode="decimal"
            value={max}
            onValue={setMax}
            placeholder={offer?.onDemand ? `${offer.onDemand} (on demand)` : ""}
            error={maxPriceError(max, offer)}
            hint="Empty: up to the price on demand."
          />
          <p class="field-hint spot-hint">
            The provider may take a spot instance back at short notice (EC2 two minutes, GCE and Azure half a minute). The node is told,
            gets no new VMs, and you can migrate the ones it has in that time.
          </p>
        </div>
      )}
      {isSpot && market.data && !hasSpot && <Alert tone="warn">This provider shows no spot prices here.</Alert>}
      {market.error ? (
        <Alert action={<Button small onClick={market.again}>Try again</Button>}>{market.error}</Alert>
      ) : (
        <TypeTable
          offers={market.data ? offers : null}
          value={offer?.name ?? ""}
          onValue={setType}
          spot={isSpot}
          kvm={provider.driver === "azure"}
        />
      )}
      {cannot && (
        <Alert tone="warn">Our Xen cannot run on {offer.name}: the node would join with the plain kernel, and run VMs by emulation at best.</Alert>
      )}
      {market.data?.error && <p class="field-hint">No prices: {market.data.error}</p>}
      {market.data && (market.data.egress.internet !== null || market.data.egress.region !== null) && (
        <p class="field-hint">
          Traffic out of {region}: {market.data.egress.internet !== null && `${usd(market.data.egress.internet)} a GiB to the internet`}
          {market.data.egress.internet !== null && market.data.egress.region !== null && ", "}
          {market.data.egress.region !== null && `${usd(market.data.egress.region)} to other regions`}. Migrations are such traffic.
        </p>
      )}
      <FirewallFields rules={rules} onRules={setRules} />
      <details class="more">
        <summary>Zone and disk</summary>
        <div class="fields-2">
          <TextField label="Zone" optional value={zone} onValue={setZone} autocapitalize="none" placeholder={isSpot && offer?.spotZone ? `${offer.spotZone} is the cheapest` : "Any"} />
          <TextField
            label="Disk"
            optional
            suffix="GiB"
            inputMode="numeric"
            value={disk}
            onValue={setDisk}
            placeholder="As the image"
            error={disk === "" ? null : numberError(disk, 1, 16384, "GiB")}
          />
        </div>
      </details>
      <SizeBar size={userDataEstimate(name, region, provider.driver)} limit={limit} about />
    </FormDialog>
  );
}

