import { bitRate, bytes, mib, plural, rtt } from "../lib/format";
import { orderRegions, pairKey, regionLatency } from "../lib/map";
import { MAX_SAMPLES, ratesOf, sparkline } from "../lib/rates";
import { go, href } from "../router";
import { canAdminister, canOperate } from "../state/session";
import { jobs, loaded, nodes, overview, runningJobs, samples, vms } from "../state/store";
import { Bar, Button, Empty, PageHead, Panel } from "../ui/basic";
import { Icon } from "../ui/icons";
import { LoadingRows } from "../ui/table";
import { isRunning, JobList, JobProgress } from "./job-list";
import { NoticeBanners } from "./node-notice";
import { RegionMap } from "./region-map";

export function OverviewPage() {
  if (!loaded.value)
    return (
      <>
        <PageHead title="Overview" />
        <LoadingRows n={3} />
      </>
    );
  if (nodes.value.length === 0)
    return (
      <>
        <PageHead title="Overview" />
        <Empty
          icon="nodes"
          title="Your cloud has no nodes yet"
          action={
            canAdminister.value && (
              <Button tone="primary" icon="plus" onClick={() => go(href("nodes", null, "new=1"))}>
                Add the first node
              </Button>
            )
          }
        >
          Start an instance at any provider with the user-data you get here; it joins by itself. Two nodes in two
          regions are enough to watch a VM move between them.
        </Empty>
      </>
    );
  const regions = orderRegions([...new Set(nodes.value.map((n) => n.region))]);
  const latency = regionLatency(overview.value?.latency ?? [], nodes.value);
  const recent = jobs.value.filter((j) => !isRunning(j)).slice(0, 6);
  return (
    <>
      <PageHead
        title="Overview"
        lead={`${plural(nodes.value.length, "node")} in ${plural(regions.length, "region")}, seen as one cloud.`}
      >
        {canOperate.value && (
          <Button tone="primary" icon="plus" onClick={() => go(href("vms", null, "new=1"))}>
            Create a VM
          </Button>
        )}
      </PageHead>
      <NoticeBanners />
      <Tiles />
      <RegionMap regions={regions} latency={latency} />
      <div class="columns even">
        <Panel title="Running jobs" aside={<a href={href("jobs")}>All jobs</a>}>
          {runningJobs.value.length === 0 ? (
            <p class="panel-empty">
              <Icon name="check" size={16} /> Nothing is under way.
            </p>
          ) : (
            <div class="job-progress-list">
              {runningJobs.value.slice(0, 6).map((j) => (
                <JobProgress key={j.id} job={j} />
              ))}
            </div>
          )}
        </Panel>
        <Panel title="What happened lately">
          {recent.length === 0 ? (
            <p class="panel-empty">
              No job has ended yet.{" "}
              {vms.value.length === 0 && canOperate.value && <a href={href("vms", null, "new=1")}>Create a VM</a>}
            </p>
          ) : (
            <JobList jobs={recent} named />
          )}
        </Panel>
      </div>
      {regions.length > 2 && <LatencyTable regions={regions} latency={latency} />}
    </>
  );
}

function Tiles() {
  const running = vms.value.filter((v) => v.state === "running" || v.state === "migrating").length;
  const failed = vms.value.filter((v) => v.state === "failed").length;
  const up = nodes.value.filter((n) => n.state === "up");
  const down = nodes.value.filter((n) => n.state === "down").length;
  const total = up.reduce((n, x) => n + x.memory_mib, 0);
  const free = up.reduce((n, x) => n + x.memory_free_mib, 0);
  return (
    <div class="tiles">
      <a class="tile" href={href("vms")}>
        <span class="tile-name">VMs running</span>
        <span class="tile-value">
          {running}
          <small>of {vms.value.length}</small>
        </span>
        <span class={`tile-note${failed ? " bad-text" : ""}`}>
          {failed ? `${failed} failed` : vms.value.length - running > 0 ? `${vms.value.length - running} not running` : "All of them"}
        </span>
      </a>
      <a class="tile" href={href("nodes")}>
        <span class="tile-name">Nodes up</span>
        <span class="tile-value">
          {up.length}
          <small>of {nodes.value.length}</small>
        </span>
        <span class={`tile-note${down ? " bad-text" : ""}`}>{down ? `${down} down` : "All reachable"}</span>
      </a>
      <div class="tile">
        <span class="tile-name">Memory used</span>
        <span class="tile-value">
          {mib(total - free)}
          <small>of {mib(total)}</small>
        </span>
        <Bar value={total - free} max={total} label="Memory used" tone={total && free / total < 0.1 ? "full" : ""} />
      </div>
      <WanTile />
    </div>
  );
}

const SPARK_W = 150;
const SPARK_H = 44;

function WanTile() {
  const rates = ratesOf(samples.value);
  const last = rates[rates.length - 1];
  const wan = overview.value?.wan;
  const shown = rates.slice(-(MAX_SAMPLES - 1));
  const max = Math.max(1, ...shown.map((r) => Math.max(r.in, r.out)));
  return (
    <div class="tile wan">
      <span class="tile-name">Between regions</span>
      <div class="wan-row">
        <div class="wan-rates">
          <span>
            <i class="in" aria-hidden="true" />
            <span class="hidden">In </span>
            <strong class="num">{last ? bitRate(last.in) : "–"}</strong> in
          </span>
          <span>
            <i class="out" aria-hidden="true" />
            <span class="hidden">Out </span>
            <strong class="num">{last ? bitRate(last.out) : "–"}</strong> out
          </span>
        </div>
        <svg class="spark" viewBox={`0 0 ${SPARK_W} ${SPARK_H}`} preserveAspectRatio="none" aria-hidden="true">
          <polyline class="in" points={sparkline(shown.map((r) => r.in), SPARK_W, SPARK_H, max)} />
          <polyline class="out" points={sparkline(shown.map((r) => r.out), SPARK_W, SPARK_H, max)} />
        </svg>
      </div>
      <span class="tile-note num">
        {wan ? `${bytes(wan.in)} in, ${bytes(wan.out)} out in all` : "Not measured yet"}
      </span>
    </div>
  );
}

function LatencyTable({ regions, latency }: { regions: string[]; latency: Map<string, number> }) {
  return (
    <Panel title="Round trips between regions">
      <div class="table-box plain" tabIndex={0} role="group" aria-label="Round trips between regions">
        <table class="matrix">
          <thead>
            <tr>
              <td />
              {regions.map((r) => (
                <th key={r} scope="col">
                  {r}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {regions.map((a) => (
              <tr key={a}>
                <th scope="row">{a}</th>
                {regions.map((b) => {
                  const ms = latency.get(pairKey(a, b));
                  return (
                    <td key={b} class={a === b ? "self" : "num"}>
                      {a === b ? "·" : ms === undefined ? "–" : rtt(ms)}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
