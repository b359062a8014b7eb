import { useState } from "preact/hooks";
import { del, post } from "../api/client";
import type { Network } from "../api/types";
import { firstHost, hostCount, isHostOf, parseCidr, parseIp } from "../lib/cidr";
import { plural } from "../lib/format";
import { nameError } from "../lib/placement";
import { ipValue, matches } from "../lib/sort";
import { go, href, route } from "../router";
import { say } from "../state/notices";
import { canOperate } from "../state/session";
import { forget, loaded, networks, remember, vms } from "../state/store";
import { Button, IconButton, Mono, Time } from "../ui/basic";
import { Confirm, FormDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { ListPage } from "../ui/list-page";
import { type Column, Table } from "../ui/table";

const usersOf = (n: Network) => vms.value.filter((v) => (v.ports ?? []).some((p) => p.network === n.id));

export function NetworksPage() {
  const [query, setQuery] = useState(route.value.query.get("q") ?? "");
  const [gone, setGone] = useState<Network | null>(null);
  const creating = route.value.query.get("new") === "1" && canOperate.value && loaded.value;
  const add = canOperate.value && (
    <Button tone="primary" icon="plus" onClick={() => go(href("networks", null, "new=1"))}>
      Create a network
    </Button>
  );
  const columns: Column<Network>[] = [
    { key: "name", title: "Name", sort: (n) => n.name, cell: (n) => <span class="name">{n.name}</span>, class: "main-cell" },
    { key: "cidr", title: "Addresses", sort: (n) => ipValue(n.cidr.split("/")[0]), cell: (n) => <Mono>{n.cidr}</Mono> },
    { key: "gw", title: "Gateway", cell: (n) => (n.gateway ? <Mono>{n.gateway}</Mono> : <span class="dim">None</span>) },
    {
      key: "dhcp",
      title: "DHCP",
      cell: (n) =>
        n.dhcp_start ? (
          <span class="mono small">
            {n.dhcp_start} – {n.dhcp_end}
          </span>
        ) : (
          <span class="dim">–</span>
        ),
      class: "wide-only",
    },
    {
      key: "vms",
      title: "VMs",
      sort: (n) => usersOf(n).length,
      cell: (n) => {
        const users = usersOf(n);
        return users.length === 0 ? (
          <span class="dim">None</span>
        ) : (
          <span class="vm-links">
            {users.slice(0, 3).map((v) => (
              <a key={v.id} href={href("vms", v.id)}>
                {v.name}
              </a>
            ))}
            {users.length > 3 && <span class="dim">+{users.length - 3}</span>}
          </span>
        );
      },
    },
    {
      key: "vni",
      title: "VNI",
      sort: (n) => n.vni,
      cell: (n) => (
        <span class="two">
          <span class="num">{n.vni}</span>
          <small>MTU {n.mtu}</small>
        </span>
      ),
    },
    { key: "created", title: "Created", sort: (n) => n.created_at, cell: (n) => <Time at={n.created_at} />, class: "wide-only" },
  ];
  if (canOperate.value)
    columns.push({
      key: "actions",
      title: "",
      cell: (n) => (
        <div class="row-actions">
          <IconButton icon="trash" tone="danger" label={`Delete ${n.name}`} onClick={() => setGone(n)} />
        </div>
      ),
      class: "actions-cell",
    });
  const found = networks.value.filter((n) => matches(query, [n.name, n.cidr, n.gateway, String(n.vni), n.id]));
  return (
    <>
      <ListPage
        title="Networks"
        lead="Private networks that span all regions: a VM keeps its address wherever it moves."
        icon="networks"
        what="network"
        add={add}
        none="Every VM needs one. A network has its own addresses and DHCP, and is the same in every region."
        n={networks.value.length}
        nFound={found.length}
        query={query}
        onQuery={setQuery}
        searched="Names, addresses and numbers"
      >
        <Table label="Networks" columns={columns} rows={found} initial={{ key: "name", down: false }} />
      </ListPage>
      {creating && <NewNetwork onClose={() => go(href("networks"))} />}
      {gone && (
        <Confirm
          title={`Delete ${gone.name}?`}
          submit={`Delete ${gone.name}`}
          onClose={() => setGone(null)}
          onSubmit={async () => {
            await del(`/networks/${encodeURIComponent(gone.id)}`);
            forget("network", gone.id);
            setGone(null);
          }}
        >
          {usersOf(gone).length > 0 ? (
            <p>{plural(usersOf(gone).length, "VM")} have a port on it, so the controller will refuse.</p>
          ) : (
            <p>
              No VM is on it. <strong>This cannot be undone.</strong>
            </p>
          )}
        </Confirm>
      )}
    </>
  );
}

/** The first 10.N.0.0/24 that nothing uses yet. */
function freeCidr(): string {
  const used = new Set(networks.value.map((n) => n.cidr.split(".").slice(0, 2).join(".")));
  for (let i = 1; i < 255; i++) if (!used.has(`10.${i}`)) return `10.${i}.0.0/24`;
  return "";
}

function NewNetwork({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [cidr, setCidr] = useState(freeCidr);
  const [gateway, setGateway] = useState("");
  const [dns, setDns] = useState("");
  const parsed = parseCidr(cidr);
  const known = typeof parsed === "string" ? null : parsed;
  const gatewayIp = parseIp(gateway);
  return (
    <FormDialog
      title="Create a network"
      submit="Create"
      onClose={onClose}
      onSubmit={async () => {
        const n = await post<Network>("/networks", {
          name,
          cidr: cidr.trim(),
          ...(gateway.trim() ? { gateway: gateway.trim() } : {}),
          ...(dns.trim() ? { dns: dns.trim() } : {}),
        });
        remember("network", n);
        say(`Network ${name} created`);
        onClose();
      }}
    >
      <TextField
        label="Name"
        value={name}
        onValue={setName}
        maxLength={63}
        autocapitalize="none"
        error={nameError(name, networks.value.map((n) => n.name))}
        data-first=""
      />
      <TextField
        label="Addresses"
        value={cidr}
        onValue={setCidr}
        inputMode="decimal"
        error={typeof parsed === "string" ? parsed : null}
        hint={known ? `Room for ${plural(hostCount(known), "address", "addresses")}.` : "In CIDR form."}
      />
      <div class="fields-2">
        <TextField
          label="Gateway"
          optional
          value={gateway}
          onValue={setGateway}
          placeholder={known ? firstHost(known) : ""}
          error={
            gateway.trim() === "" || !known
              ? null
              : gatewayIp === null
                ? "Write it like 10.1.0.1."
                : isHostOf(gatewayIp, known)
                  ? null
                  : `It is not an address of ${cidr.trim()}.`
          }
        />
        <TextField
          label="Name server"
          optional
          value={dns}
          onValue={setDns}
          error={dns.trim() === "" || parseIp(dns) !== null ? null : "Write it like 9.9.9.9."}
        />
      </div>
    </FormDialog>
  );
}
