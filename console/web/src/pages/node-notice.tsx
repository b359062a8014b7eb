// What a provider has announced for a node's machine, with the time left.
import type { Node } from "../api/types";
import { countdown, dateTime, plural } from "../lib/format";
import { noticeAction, noticeTitle, standingNotice, withNotices } from "../lib/probes";
import { href, route } from "../router";
import { nodes, now, vms } from "../state/store";
import { Icon } from "../ui/icons";

/** The banner of one node; nothing if nothing is announced.  'linked': with the
 * node's name, for pages that show several. */
export function NoticeBanner({ node, linked }: { node: Node; linked?: boolean }) {
  const notice = standingNotice(node);
  if (!notice) return null;
  const here = vms.value.filter((v) => v.node === node.id).length;
  const bad = notice.kind === "revocation";
  const left = notice.at ? countdown(notice.at, now.value) : null;
  return (
    <div class={`banner ${bad ? "bad" : "warn"}`} role={bad ? "alert" : "note"} aria-label={`Notice for ${node.name}`}>
      <Icon name="warn" size={20} />
      <div class="banner-text">
        <strong>
          {linked && (
            <>
              <a href={href("nodes", node.id)}>{node.name}</a>:{" "}
            </>
          )}
          {noticeTitle(notice)}
        </strong>
        <span>
          {notice.text && `${notice.text.charAt(0).toUpperCase()}${notice.text.slice(1)}. `}
          {bad ? "It gets no new VMs and no migrations. " : ""}
          {here > 0 ? (
            <a href={href("vms", null, `q=${encodeURIComponent(node.name)}`)}>{plural(here, "VM")} on it</a>
          ) : (
            "No VM is on it"
          )}
          .{notice.source && <span class="dim"> Heard from {notice.source}.</span>}
        </span>
      </div>
      {left !== null && (
        // The whole clock is no live region: it would be read each second.
        <div class="banner-clock" title={dateTime(notice.at)}>
          <strong class="num" role="timer" aria-label={`Time until ${noticeAction(notice)}`}>
            {left}
          </strong>
          <small>{left === "now" ? noticeAction(notice) : `until ${noticeAction(notice)}`}</small>
        </div>
      )}
    </div>
  );
}

/** All nodes with notices, for the Overview and the list of nodes. */
export function NoticeBanners() {
  const list = withNotices(nodes.value);
  if (list.length === 0) return null;
  return (
    <div class="banners">
      {list.slice(0, 4).map((n) => (
        <NoticeBanner key={n.id} node={n} linked />
      ))}
      {list.length > 4 && route.value.page !== "nodes" && (
        <a href={href("nodes")}>{plural(list.length - 4, "more node")} with notices</a>
      )}
    </div>
  );
}
