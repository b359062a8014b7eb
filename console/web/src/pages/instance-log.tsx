// The serial log of an instance, as its provider kept it: where a node that
// does not join says why.
import { useLayoutEffect, useRef } from "preact/hooks";
import { get } from "../api/client";
import type { Instance, Provider } from "../api/types";
import { plainText } from "../lib/format";
import { instancePath, useRemote } from "../state/providers";
import { Alert, Button, CopyButton } from "../ui/basic";
import { Dialog } from "../ui/dialog";
import { saveText } from "../ui/save";
import { LoadingRows } from "../ui/table";

export function InstanceLog({ provider, instance, onClose }: { provider: Provider; instance: Instance; onClose: () => void }) {
  const name = instance.name || instance.id;
  const log = useRemote((s) => get<{ data: string }>(instancePath(provider, instance, "console-log"), s), instance.id);
  const text = log.data && plainText(log.data.data);
  const box = useRef<HTMLPreElement>(null);
  // The newest is at its end.
  useLayoutEffect(() => box.current?.scrollTo({ top: box.current.scrollHeight }), [text]);
  return (
    <Dialog title={`Serial log of ${name}`} onClose={onClose} huge>
      <div class="dialog-body">
        <p class="dialog-lead">The newest that {provider.name} kept of it; it may be some minutes behind. A line with a code [SC-…] is ours.</p>
        {log.error && <Alert>{log.error}</Alert>}
        {text === null && !log.error && <LoadingRows n={3} />}
        {text === "" && <Alert tone="info">It has said nothing yet.</Alert>}
        {text && (
          <pre ref={box} class="instance-log mono" tabIndex={0} aria-label="Serial log">
            {text}
          </pre>
        )}
      </div>
      <footer class="dialog-foot">
        <Button onClick={onClose}>Close</Button>
        <Button icon="refresh" disabled={log.loading} onClick={log.again}>
          Ask again
        </Button>
        <Button icon="download" disabled={!text} onClick={() => saveText(`${name}-serial.txt`, text ?? "")}>
          Download
        </Button>
        <CopyButton tone="primary" text={text ?? ""} label="Copy the log" />
      </footer>
    </Dialog>
  );
}
