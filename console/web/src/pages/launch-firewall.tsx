// What is let in to the instances: preset to the ports that a node needs.
import { nodePorts, parsePorts, parseSources, type Rule } from "../lib/clouds";
import { nodes } from "../state/store";
import { Alert, Button, IconButton } from "../ui/basic";

export interface RuleText {
  key: number;
  protocol: Rule["protocol"];
  ports: string;
  sources: string; // Networks, with commas between them.
  what: string;
}

const ANYWHERE = "0.0.0.0/0";

export const presetRules = (): RuleText[] =>
  nodePorts.map((p, key) => ({ key, protocol: p.protocol, ports: String(p.port), sources: ANYWHERE, what: p.what }));

const ruleError = (r: RuleText): string | null =>
  !parsePorts(r.ports) ? "A port, or a range such as 7000-7100." : !parseSources(r.sources) ? "Networks such as 198.51.100.0/24, with commas between them." : null;

export const firewallError = (rules: RuleText[]): string | null => rules.map(ruleError).find((e) => e !== null) ?? null;

export function FirewallFields({ rules, onRules }: { rules: RuleText[]; onRules: (r: RuleText[]) => void }) {
  const set = (key: number, change: Partial<RuleText>) => onRules(rules.map((r) => (r.key === key ? { ...r, ...change } : r)));
  const known = [...new Set(nodes.value.map((n) => n.address).filter((a) => /^\d+(\.\d+){3}$/.test(a)))];
  const open = nodePorts.find((p) => p.open && rules.some((r) => r.ports === String(p.port) && r.sources.includes(ANYWHERE)));
  const missing = nodePorts.filter((p) => !rules.some((r) => {
    const range = parsePorts(r.ports);
    return range && r.protocol === p.protocol && range[0] <= p.port && p.port <= range[1];
  }));
  return (
    <fieldset class="firewall">
      <legend>Firewall: who may connect to it</legend>
      <ul>
        {rules.map((r) => {
          const wrong = ruleError(r);
          return (
            <li key={r.key} class={wrong ? "wrong" : ""}>
              <select aria-label={`Protocol, ${r.what}`} value={r.protocol} onChange={(e) => set(r.key, { protocol: e.currentTarget.value as Rule["protocol"] })}>
                <option value="tcp">TCP</option>
                <option value="udp">UDP</option>
              </select>
              <input aria-label={`Ports, ${r.what}`} class="ports" value={r.ports} inputMode="numeric" aria-invalid={parsePorts(r.ports) ? undefined : "true"} onInput={(e) => set(r.key, { ports: e.currentTarget.value })} />
              <input aria-label={`From, ${r.what}`} class="sources" value={r.sources} spellcheck={false} aria-invalid={parseSources(r.sources) ? undefined : "true"} onInput={(e) => set(r.key, { sources: e.currentTarget.value })} />
              <span class="what">{r.what}</span>
              <IconButton icon="close" label={`Remove the rule: ${r.what}`} onClick={() => onRules(rules.filter((x) => x.key !== r.key))} />
              {wrong && <p class="field-error">{wrong}</p>}
            </li>
          );
        })}
      </ul>
      <div class="firewall-foot">
        <Button
          small
          icon="plus"
          onClick={() => onRules([...rules, { key: Math.max(0, ...rules.map((r) => r.key)) + 1, protocol: "tcp", ports: "22", sources: known[0] ? `${known[0]}/32` : ANYWHERE, what: "Your own rule" }])}
        >
          Add a rule
        </Button>
        {known.length > 0 && (
          <Button small onClick={() => onRules(rules.map((r) => ({ ...r, sources: known.map((a) => `${a}/32`).join(", ") })))}>
            Only from the present nodes
          </Button>
        )}
        {missing.length > 0 && (
          <Button small onClick={() => onRules(presetRules())}>
            As a node needs it
          </Button>
        )}
      </div>
      {open && <Alert tone="warn">{open.open} Give the other nodes’ addresses if you can.</Alert>}
      {missing.length > 0 && (
        <Alert tone="warn">
          A node needs {missing.map((p) => `${p.port}/${p.protocol} (${p.what.toLowerCase()})`).join(", ")}: other nodes would not reach it.
        </Alert>
      )}
    </fieldset>
  );
}
